"""Workers of `pass` for the tests: pass_worker.py BEHAVIOUR [ARGUMENT].

All take one arrival at a time; told to go they finish the client that they
have.
"""
import os
import select
import signal
import socket
import sys
import time

# What usher gave it: descriptors that are still there after the look.
fds_at_start = " ".join(sorted(
    fd for fd in os.listdir("/proc/self/fd")
    if os.path.exists(f"/proc/self/fd/{fd}")))
behaviour = sys.argv[1]
argument = sys.argv[2] if len(sys.argv) > 2 else ""
door = socket.socket(fileno=int(os.environ.get("USHER_FD", "3")))
wake, waker = os.pipe()
os.set_blocking(waker, False)
signal.set_wakeup_fd(waker)
signal.signal(signal.SIGTERM, lambda number, frame: None)


def arrivals():
    while True:
        if wake in select.select([door, wake], [], [])[0]:
            return
        try:
            data, fds, _, _ = socket.recv_fds(door, 65536, 253,
                                              socket.MSG_DONTWAIT)
        except BlockingIOError:
            continue
        if not data:
            return
        yield from parse(data, fds)


def parse(data, fds):
    fds = list(fds)
    for arrival in data.decode().split("\0\0"):
        if not arrival:
            continue
        kind, *rest = arrival.split("\0")
        words = dict(word.split("=", 1) for word in rest if "=" in word)
        words["kind"] = kind
        client = None
        if kind == "connection":
            client = socket.socket(fileno=fds.pop(0))
            client.setblocking(True)
        words["batch"] = str(len(fds))
        yield words, client
    assert not fds, fds


def say(text):
    door.send(text.encode())


def words_back(words, client):
    words["fds"] = fds_at_start
    client.sendall("\n".join(f"{k}={v}" for k, v in words.items()).encode())


def echo(client):
    """Until the client has no more to say; what it says comes back."""
    try:
        while True:
            data = client.recv(4096)
            if not data:
                return
            client.sendall(data)
    except OSError:
        pass


if behaviour == "exit":             # at once
    sys.stderr.write("no database here\n")
    sys.exit(int(argument or 0))
if behaviour == "second":           # the second and later ones exit at once
    try:
        os.close(os.open(argument, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        sys.exit(1)
if behaviour == "unlucky-echo":     # all but the first and the fifth exit
    with open(argument, "ab") as file:
        file.write(b"x")
    if os.path.getsize(argument) in (2, 3, 4):
        sys.exit(1)
if behaviour == "asleep":           # never looks at its queue
    while True:
        time.sleep(1)
if behaviour == "deaf":             # serves, ignores SIGTERM, never ends
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        data, fds, _, _ = socket.recv_fds(door, 65536, 1)
        for fd in fds:
            with socket.socket(fileno=fd) as client:
                client.sendall(b"deaf %d\n" % os.getpid())
        if not data:
            time.sleep(3600)
if behaviour == "late":             # ready after a while, and says so
    time.sleep(float(argument))
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.connect("\0" + os.environ["NOTIFY_SOCKET"][1:])
    notify.send(b"READY=1\nSTATUS=here")
if behaviour == "readyfd":
    os.write(int(argument), b"\n")

memory = bytearray(64 << 20) if behaviour == "fat" else b""

reports = behaviour in ("reports", "reports-echo", "reports-waits", "second")
if reports or behaviour == "loses":
    say("avail")

for words, client in arrivals():
    ident = words.get("SO_COOKIE") or words.get("TRIGGER")
    if reports:
        say(f"taken {ident}")
    if behaviour == "loses":        # dies with what it holds
        say(f"taken {ident}")
        os.kill(os.getpid(), signal.SIGKILL)
    if behaviour.endswith("waits"):     # for a file, with what it has
        with open(argument + ".ran", "a", encoding="utf-8") as file:
            print(words["MESSAGE"], file=file)
        while not os.path.exists(argument):
            time.sleep(0.01)
    elif words["kind"] == "trigger":
        if argument:
            with open(argument, "a", encoding="utf-8") as file:
                print(words.get("MESSAGE", words.get("MESSAGE_HEX")),
                      file=file)
    elif behaviour == "words":
        words_back(words, client)
        sys.exit(0)
    elif behaviour.endswith("echo"):
        client.sendall(b"%d\n" % os.getpid())
        echo(client)
    elif behaviour == "fat":
        for i in range(0, len(memory), 4096):
            memory[i] = 1
        client.sendall(b"%d\n" % os.getpid())
    else:
        if behaviour == "slow":
            time.sleep(float(argument))
        client.sendall(b"%d %s\n" % (os.getpid(),
                                     os.environ["USHER_GENERATION"].encode()))
    if client:
        client.close()
    if reports:
        say(f"done {ident}")
    if behaviour == "once":         # serves one and ends
        break
