"""Usher is killed and upgraded: who holds what is known afterwards, a source
is let go when its client goes, a run that a worker has or that waits in its
queue is neither lost nor run twice."""
import os
import signal
import threading

from harness import Daemon, wait_for

timeout = 180

CONF = """
[service hold]
listen = tcp:127.0.0.1:@PORT@
exec = /usr/bin/python3 @TESTS@/reporting_echo.py
handoff = pass
reports = yes
pick = leastconn
workers = 2
worker_connections = 4
max_per_source = 5
settle = 0

[service queue]
listen = unix:@DIR@/queue
exec = /usr/bin/python3 @TESTS@/pass_worker.py reports-echo
handoff = pass
reports = yes
workers = 1
queue_limit = 4
settle = 0

[service run]
trigger = unix:@DIR@/run
exec = /usr/bin/python3 @TESTS@/pass_worker.py reports-waits @DIR@/go
handoff = pass
reports = yes
workers = 1
queue_limit = 2
settle = 0

[service plain]
trigger = unix:@DIR@/plain
exec = /usr/bin/python3 @TESTS@/pass_worker.py waits @DIR@/go-plain
handoff = pass
workers = 1
queue_limit = 2
settle = 0
"""


def upgrade():
    try:
        usher.call("Upgrade")
    except ConnectionError:
        pass


def kill_and_start():
    os.kill(usher.pid, signal.SIGKILL)
    usher.proc.wait()
    usher.start()


def busy(service="hold"):
    return usher.service(service)["busy"]


def lines(name):
    try:
        with open(f"{usher.dir}/{name}.ran", encoding="ascii") as file:
            return file.read().split()
    except FileNotFoundError:
        return []


def trigger(service, message):
    with usher.client(f"unix:{usher.dir}/{service}") as client:
        client.sendall(message.encode() + b"\0")
        client.recv(1)


def refused():
    return usher.service("hold")["refused"].get("source", 0)


with Daemon(CONF) as usher:
    clients = [usher.client("hold") for _ in range(5)]
    for client in clients:
        assert client.recv(100)
    wait_for(lambda: busy() == 5)
    gossip = usher.service("hold")["gossip"]    # its workers' first words

    first = usher.client("queue")           # one is served, two wait
    assert first.recv(100)
    late = [usher.client("queue") for _ in range(2)]
    wait_for(lambda: usher.service("queue")["waiting"] == 2)

    for name in ("run", "plain"):           # one is held, two wait, one more
        for message in ("a", "b", "c", "d"):
            trigger(name, message)
    wait_for(lambda: lines("go") == ["a"] and lines("go-plain") == ["a"])
    ends = []

    def wait_for_c():
        ends.append(usher.run("trigger", "run", "c", "--wait", status=None))

    for change in (kill_and_start, kill_and_start, upgrade):
        change()
        wait_for(lambda: busy() == 5)
        assert len(usher.call("Connections", service="hold")
                   ["connections"]) == 5
        assert usher.service("queue")["waiting"] == 2

    # The source is full, and is let go with its client.
    with usher.client("hold") as sixth:
        assert sixth.recv(100) == b""
    assert refused() == 1
    clients.pop().close()
    wait_for(lambda: busy() == 4)
    clients.append(usher.client("hold"))
    assert clients[-1].recv(100)
    for client in clients:
        client.close()
    wait_for(lambda: busy() == 0)
    assert usher.service("hold")["gossip"] == gossip
    assert all(w["state"] == "idle"
               for w in usher.service("hold")["workers"])

    first.close()
    for client in late:
        assert client.recv(100)
        client.close()
    wait_for(lambda: busy("queue") == 0)

    # Each run once, and who waits for one hears of it.
    waiter = threading.Thread(target=wait_for_c)
    waiter.start()
    for name in ("go", "go-plain"):
        open(f"{usher.dir}/{name}", "w", encoding="ascii").close()
    waiter.join()
    assert ends[0].returncode == 0, ends
    wait_for(lambda: busy("run") == 0)
    wait_for(lambda: sorted(lines("go-plain")) == ["a", "b", "c", "d"])
    assert sorted(set(lines("go"))) == ["a", "b", "c", "d"], lines("go")
    assert len(lines("go")) <= 5, lines("go")   # c's second trigger
    assert lines("go")[0] == "a"
