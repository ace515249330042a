"""What workers report, and the picks: who is busy is seen, each worker has at
most what it may hold, gossip is counted, triggers' ends are known."""
import os
import signal
import socket

from harness import Daemon, connect, receive_all, wait_for

parallel = True
timeout = 120

CONF = """
[defaults]
handoff = pass
exec = /usr/bin/python3 @TESTS@/pass_worker.py reports
reports = yes

[service queue]
listen = unix:@DIR@/queue
workers = 2
ready = status

[service turn]
listen = unix:@DIR@/turn
workers = 3
pick = roundrobin

[service source]
listen = tcp:127.0.0.1:@PORT@
workers = 4
pick = source

[service least]
listen = unix:@DIR@/least
exec = /usr/bin/python3 @TESTS@/reporting_echo.py
workers = 2
pick = leastconn
worker_connections = 2

[service runs]
trigger = unix:@DIR@/runs
exec = /usr/bin/python3 @TESTS@/pass_worker.py reports @DIR@/messages
workers = 1

[service loses]
trigger = unix:@DIR@/loses
exec = /usr/bin/python3 @TESTS@/pass_worker.py loses
workers = 1

[service plain]
trigger = unix:@DIR@/plain
exec = /usr/bin/python3 @TESTS@/pass_worker.py hello @DIR@/plainly
reports = no
"""


def ask(name):
    with usher.client(name) as client:
        return receive_all(client).split()[0]


def ask_alone(name):
    pid = ask(name)
    wait_for(lambda: not usher.service(name)["busy"])
    return pid


with Daemon(CONF) as usher:
    for _ in range(10):
        assert ask("queue")
    wait_for(lambda: sum(w["requests"] for w in
                         usher.service("queue")["workers"]) == 10)
    assert "gossip" not in usher.log

    pids = [ask_alone("turn") for _ in range(9)]
    assert len(set(pids)) == 3, pids
    assert pids[:3] == pids[3:6] == pids[6:], pids
    assert len({ask_alone("source") for _ in range(12)}) == 1

    # Two workers that hold two each; the fifth waits for a place.
    clients = [usher.client("least") for _ in range(4)]
    held = [client.recv(100) for client in clients]
    assert sorted(held.count(pid) for pid in set(held)) == [2, 2], held
    fifth = usher.client("least")
    fifth.settimeout(0.3)
    try:
        fifth.recv(100)
        raise AssertionError("a worker holds three")
    except TimeoutError:
        fifth.settimeout(20)
    # Its worker dies: what it held is cut, what waited is served.
    victim = int(held[0])
    os.kill(victim, signal.SIGKILL)
    assert fifth.recv(100)
    cut = [c for c, pid in zip(clients, held) if int(pid) == victim]
    for client in cut:
        assert client.recv(100) == b""
    for client in (*clients, fifth):
        client.close()

    # A trigger's end is known by `done`, or by its worker's death.
    done = usher.run("trigger", "runs", "first", "--wait", status=None)
    if done.returncode != 2:        # the command is there
        assert done.returncode == 0, done
        assert open(usher.expand("@DIR@/messages"),
                    encoding="ascii").read() == "first\n"
        usher.run("trigger", "loses", "x", "--wait",
                  status=128 + signal.SIGKILL)
    usher.call("Trigger", service="plain", message="hello there")
    wait_for(lambda: os.path.exists(usher.expand("@DIR@/plainly")) and
             open(usher.expand("@DIR@/plainly"),
                  encoding="ascii").read() == "hello there\n")
