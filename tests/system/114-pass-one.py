"""200,000 connections (a twentieth in a check) from eight clients to a single
worker whose queue holds one: each is served, the door never stays shut. The
worker is woken and stopped in turn, so that usher is often told of room while
the kernel is not yet through with what was taken."""
import threading

from harness import Daemon, dose, receive_all

timeout = 120
full = 3600
plain = True
CLIENTS = 8
EACH = dose(200000) // CLIENTS
CONF = """
[service one]
listen = tcp:127.0.0.1:@PORT@
exec = /usr/bin/python3 @DIR@/worker.py
handoff = pass
queue_limit = 1
"""
WORKER = """
import os, socket
os.nice(19)
door = socket.socket(fileno=int(os.environ["USHER_FD"]))
while True:
    words, fds, _, _ = socket.recv_fds(door, 4096, 1)
    if not words:
        break
    with socket.socket(fileno=fds[0]) as client:
        client.setblocking(True)
        client.recv(1)
        client.sendall(b"one\\n")
"""
errors, served = [], []


def ask():
    for _ in range(EACH):
        try:
            with usher.client("one", timeout=15) as client:
                client.sendall(b"?")
                assert receive_all(client) == b"one\n"
        except OSError as error:
            errors.append(repr(error))
            return
        served.append(1)


usher = Daemon(CONF)
with open(f"{usher.dir}/worker.py", "w", encoding="ascii") as file:
    file.write(WORKER)
with usher:
    clients = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert not errors, (errors, usher.service("one")["endpoints"])
    assert len(served) == CLIENTS * EACH
