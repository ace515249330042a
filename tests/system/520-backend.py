"""exec with relay: started by who comes, who waits; stopped when idle; started
again; rolled; told to stop before it is killed; and one that does not come up
keeps nobody waiting for ever."""
import os
import time

from harness import Daemon, process_state, receive_all, wait_for

parallel = True
timeout = 120

CONF = """
[service slow]
listen = tcp:127.0.0.1:@PORT:slow@
exec = /usr/bin/python3 @TESTS@/slow_backend.py tcp:127.0.0.1:@PORT:up@ 3 @DIR@/slow.starts
relay = tcp:127.0.0.1:@PORT:up@
idle_timeout = 1s

[service unix]
listen = unix:@DIR@/unix
exec = /usr/bin/python3 @TESTS@/slow_backend.py unix:@DIR@/unix.up 0 @DIR@/unix.starts
relay = unix:@DIR@/unix.up
idle_timeout = 3s

[service tidy]
listen = unix:@DIR@/tidy
exec = /usr/bin/python3 @DIR@/tidy.py @DIR@/tidy.up @DIR@/tidied
relay = unix:@DIR@/tidy.up

[service never]
listen = tcp:127.0.0.1:@PORT:never@
exec = /usr/bin/python3 @TESTS@/slow_backend.py tcp:127.0.0.1:@PORT:nowhere@ 60
relay = tcp:127.0.0.1:@PORT:nowhere@
start_timeout = 1s
stop_timeout = 1s
respawn_delay = 50ms
"""

# Needs a moment to end well.
TIDY = """
import os, signal, socket, sys, time

def tidy(*_):
    time.sleep(0.3)
    open(sys.argv[2], "w").close()
    os._exit(0)

signal.signal(signal.SIGTERM, tidy)
door = socket.socket(socket.AF_UNIX)
door.bind(sys.argv[1])
door.listen(5)
clients = []
while True:
    clients.append(door.accept()[0])
    try:
        clients[-1].sendall(b"here")
    except OSError:
        pass                # the probe
"""


def starts(name):
    try:
        with open(f"{usher.dir}/{name}.starts", encoding="ascii") as file:
            return [int(line) for line in file]
    except FileNotFoundError:
        return []


def pid_of(client):
    line = b""
    while not line.endswith(b"\n"):
        part = client.recv(1)
        assert part, "closed without an answer"
        line += part
    return int(line)


def echoes(client, text=b"hello"):
    client.sendall(text)
    return client.recv(100) == text


usher = Daemon(CONF)
with open(f"{usher.dir}/tidy.py", "w", encoding="ascii") as script:
    script.write(TIDY)
with usher:
    # Nothing runs that nobody wants.
    assert usher.workers("slow") == [] and starts("slow") == []

    # 50 clients come while it starts; some have spoken already.
    clients = [usher.client("slow") for _ in range(50)]
    for client in clients[::2]:
        client.sendall(b"early")
    pids = {pid_of(client) for client in clients}
    assert len(pids) == 1 and starts("slow") == list(pids), (pids, starts)
    for client in clients[::2]:
        assert client.recv(100) == b"early"
    assert all(echoes(client) for client in clients)
    assert usher.service("slow")["refused"] == {}

    # It stays as long as one is there, idle or not.
    for client in clients[1:]:
        client.close()
    time.sleep(1.5)     # longer than idle_timeout, which is what is tried
    assert echoes(clients[0]) and len(usher.workers("slow")) == 1
    clients[0].close()
    wait_for(lambda: usher.workers("slow") == [])
    assert process_state(pids.pop()) == ""

    # And comes again.
    with usher.client("slow") as client:
        pid = pid_of(client)
        assert len(starts("slow")) == 2 and starts("slow")[1] == pid

    # Killed while it serves: who comes next is served by another.
    with usher.client("unix") as client:
        first = pid_of(client)
        os.kill(first, 9)
        assert receive_all(client) == b""
    # Its door outlives it for a moment: who gets in there goes with it.
    wait_for(lambda: first not in usher.workers("unix"))
    with usher.client("unix") as client:
        second = pid_of(client)
        assert second != first

        # A roll stops the old one first; who comes meanwhile waits.
        usher.call("Roll", service="unix")
        with usher.client("unix") as waiting:
            third = pid_of(waiting)
            assert third not in (first, second) and echoes(waiting)
    assert starts("unix") == [first, second, third]
    assert usher.service("unix")["refused"] == {}
    assert not usher.call("Status")["degraded"]

    # One that does not come up: closed within start_timeout, and again.
    for _ in range(2):
        begin = time.monotonic()
        with usher.client("never") as client:
            try:
                assert receive_all(client) == b""
            except ConnectionResetError:
                pass
        assert time.monotonic() - begin < 15
    assert usher.service("never")["refused"] == {"backend": 2}
    wait_for(lambda: not usher.workers("unix") and not usher.workers("slow"))

    # A hurried end cuts its clients, but it has stop_timeout as ever.
    assert not os.path.exists(f"{usher.dir}/tidied")
    client = usher.client("tidy")
    assert client.recv(10) == b"here"
    usher.run("shutdown", "--now")
    wait_for(lambda: os.path.exists(f"{usher.dir}/tidied"))
    client.close()
