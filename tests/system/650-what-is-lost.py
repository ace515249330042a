"""What usher(8) says under CAVEATS can't be kept is lost, and no more: a
worker is killed, usher is killed while bytes lie in its memory or a run ends
unseen, usher and its keeper are killed together."""
import array
import fcntl
import os
import platform
import signal
import socket
import subprocess
import termios
import time

from harness import (BINARY, Daemon, children, command_of, connect, popen,
                     wait_for)
from continuity_lib import keeper_of, killed, next_ready

timeout = 120

CONF = """
[usher]
keeper = %s

[service echo]
listen = unix:@DIR@/echo
builtin = echo

[service pass]
listen = unix:@DIR@/pass
exec = /usr/bin/python3 @TESTS@/pass_worker.py slow 1
handoff = pass
workers = 1
queue_limit = 16

[service relay]
listen = unix:@DIR@/relay
relay = unix:@DIR@/up

[service carried]
listen = unix:@DIR@/carried
relay = unix:@DIR@/up
relay_workers = 1

[service job]
trigger = unix:@DIR@/job
trigger_ack = yes
exec = /bin/sh -c 'echo "$USHER_TRIGGER" >>@DIR@/began; while [ ! -e
  @DIR@/done ]; do sleep 0.02; done; echo "$USHER_TRIGGER" >>@DIR@/ran; exit 7'
workers = 1
"""


def fire(usher, message):
    with connect(f"unix:{usher.dir}/job") as client:
        client.sendall(message.encode() + b"\n")
        assert client.recv(10) == b"ACK\n"


def lines(usher, name):
    try:
        with open(f"{usher.dir}/{name}", encoding="ascii") as file:
            return file.read().split()
    except FileNotFoundError:
        return []


def touch(usher, name):
    with open(f"{usher.dir}/{name}", "wb"):
        pass


def alive(client):
    client.sendall(b"here\n")
    return client.recv(100) == b"here\n"


def until_end(client):
    """All that comes, until an end or a reset."""
    data = b""
    try:
        while part := client.recv(65536):
            data += part
    except ConnectionResetError:
        pass
    return data


def unsent(client):
    left = array.array("i", [0])
    fcntl.ioctl(client, termios.TIOCOUTQ, left)
    return left[0]


def fill(client):
    """Sends until the other side takes no more: what was sent last was read
    by usher and can't be written, or was not read any more."""
    sent = b""
    while True:
        part = b"%07d\n" % (len(sent) // 8) * 256
        client.sendall(part)
        sent += part
        end = time.monotonic() + 1
        while unsent(client) and time.monotonic() < end:
            time.sleep(0.001)
        if unsent(client):
            return sent


def relayed(usher, door, service="relay"):
    client = usher.client(service)
    upstream = door.accept()[0]
    upstream.settimeout(20)
    client.sendall(b"hello")
    assert upstream.recv(10) == b"hello"
    return client, upstream


def restarted(usher):
    usher.read_notify()
    usher.start(ready=False)
    next_ready(usher)


# A worker that is killed takes with it whom it had received, nobody else.
with Daemon(CONF % "respawn", fds=False) as usher:
    clients = [usher.client("pass") for _ in range(8)]
    wait_for(lambda: usher.service("pass")["waiting"] == 7)
    os.kill(usher.workers("pass")[0], signal.SIGKILL)
    answers = [until_end(client) for client in clients]
    assert [bool(a) for a in answers] == [False] + 7 * [True], answers

# Between Unix sockets, survive = upgrade: a relay that had bytes in usher's
# memory is cut, without a hole; one that had none goes on.
with Daemon(CONF % "respawn", fds=False) as usher, \
        socket.socket(socket.AF_UNIX) as door:
    door.bind(f"{usher.dir}/up")
    door.listen(8)
    door.settimeout(20)
    busy, full = relayed(usher, door)
    idle, other = relayed(usher, door)

    # A killed process of relay_workers takes its own; the next one serves.
    carried, there = relayed(usher, door, "carried")
    os.kill(usher.workers("carried")[0], signal.SIGKILL)
    assert until_end(carried) == until_end(there) == b""
    carried, there = relayed(usher, door, "carried")

    sent = fill(busy)
    killed(usher)
    got = until_end(full)
    assert len(got) < len(sent) and sent.startswith(got), (
        len(got), len(sent))
    assert until_end(busy) == b""
    other.sendall(b"and back")
    assert idle.recv(100) == b"and back"
    there.sendall(b"still there")
    assert carried.recv(100) == b"still there"
    for sock in (busy, full, idle, other, carried, there):
        sock.close()

# A run that ended while no usher lived: Linux 6.15 still tells how, else it
# is run again; who waits waits on.
with Daemon(CONF % "yes", fds=False) as usher:
    waiter = popen([BINARY, "trigger", "job", "one", "--wait"],
                   env=usher.environment(), stdout=subprocess.DEVNULL)
    wait_for(lambda: lines(usher, "began") == ["one"])
    run = next(p for p in children(usher.pid) if "began" in command_of(p))
    usher.kill()
    touch(usher, "done")
    wait_for(lambda: os.waitpid(run, os.WNOHANG)[0] == run)
    assert lines(usher, "ran") == ["one"]
    restarted(usher)
    assert waiter.wait(30) == 7, waiter.returncode
    known = tuple(map(int, platform.release().split(".")[:2])) >= (6, 15)
    assert lines(usher, "ran") == ["one"] * (1 if known else 2)

# Usher and its keeper killed: what lived in them is gone, what runs goes on;
# the next one begins anew at the same doors.
with Daemon(CONF % "yes", fds=False) as usher:
    client = usher.client("echo")
    assert alive(client)
    for message in ("runs", "waits"):
        fire(usher, message)
    wait_for(lambda: lines(usher, "began") == ["runs"])
    keeper = keeper_of(usher.pid)
    usher.signal(signal.SIGSTOP)    # it would start another one
    os.kill(keeper, signal.SIGKILL)
    usher.kill()
    restarted(usher)
    assert until_end(client) == b""
    fire(usher, "new")
    touch(usher, "done")
    wait_for(lambda: sorted(lines(usher, "ran")) == ["new", "runs"])
    assert usher.service("job")["pending"] == 0
    with usher.client("echo") as fresh:
        assert alive(fresh)
