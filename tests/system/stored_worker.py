"""Stores descriptors with sd_notify's words and says what it was given."""
import array
import json
import os
import socket

NAMES = [n for n in os.environ.get("LISTEN_FDNAMES", "").split(":") if n]
kept = []


def notify(text, fds=()):
    address = os.environ["NOTIFY_SOCKET"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect("\0" + address[1:])
        sock.sendmsg([text.encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                        array.array("i", fds))]
                     if fds else [])


def store():
    if not kept:
        memory = os.memfd_create("kept")
        os.write(memory, b"written by generation "
                 + os.environ["USHER_GENERATION"].encode())
        other = os.memfd_create("other")
        kept.extend([memory, other, *os.pipe()])
    notify("FDSTORE=1\nFDNAME=memory", kept[:2])
    notify("FDNAME=pipe\nFDSTORE=1", [kept[2]])
    # A barrier: when its end closes, all before it was read.
    ours, theirs = os.pipe()
    notify("BARRIER=1", [theirs])
    os.close(theirs)
    os.read(ours, 1)
    os.close(ours)


def answer(word):
    if word == b"store":
        store()
    elif word == b"remove":
        notify("FDSTOREREMOVE=1\nFDNAME=memory")
    said = {"names": NAMES, "pid": os.getpid(),
            "listen_pid": int(os.environ.get("LISTEN_PID", 0)),
            "pidfdid": os.environ.get("LISTEN_PIDFDID")}
    if "memory" in NAMES:
        fd = 3 + NAMES.index("memory")
        said["memory"] = os.pread(fd, 100, 0).decode()
    return json.dumps(said).encode()


door = socket.socket(fileno=3)
door.setblocking(True)
notify("READY=1\nSTATUS=serving")
while True:
    client, _ = door.accept()
    with client:
        client.sendall(answer(client.recv(100).strip()))
