"""A worker of `pass` that holds many clients and reports each."""
import os
import selectors
import socket

door = socket.socket(fileno=3)
clients = selectors.DefaultSelector()
clients.register(door, selectors.EVENT_READ)


def take():
    try:
        data, fds, _, _ = socket.recv_fds(door, 65536, 1,
                                          socket.MSG_DONTWAIT)
    except BlockingIOError:
        return
    if not data:
        raise SystemExit
    cookie = next(word[10:] for word in data.decode().split("\0")
                  if word.startswith("SO_COOKIE="))
    door.send(f"taken {cookie}".encode())
    client = socket.socket(fileno=fds[0])
    client.sendall(b"%d" % os.getpid())
    clients.register(client, selectors.EVENT_READ, cookie)


def serve(key):
    try:
        data = key.fileobj.recv(4096)
        if data:
            key.fileobj.sendall(data)
            return
    except OSError:
        pass
    clients.unregister(key.fileobj)
    key.fileobj.close()
    door.send(f"done {key.data}".encode())


door.send(b"taken 1")       # nobody handed that on: gossip
door.send(b"nonsense")
while True:
    for key, _ in clients.select():
        if key.fileobj is door:
            take()
        else:
            serve(key)
