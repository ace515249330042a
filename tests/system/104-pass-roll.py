"""Rolls under load: every client is served, each after the other, whether
the old are told together (queue) or one by one (queues of their own)."""
import os
import signal
import threading

from harness import Daemon, connect, receive_all, wait_for

timeout = 180

CONF = """
[defaults]
exec = /usr/bin/python3 @TESTS@/pass_worker.py slow 0.002
handoff = pass
settle = 0
workers = 3

[service queue]
listen = unix:@DIR@/queue

[service own]
listen = unix:@DIR@/own
exec = /usr/bin/python3 @TESTS@/pass_worker.py reports
pick = leastconn

[service first]
listen = unix:@DIR@/first
roll = 0
"""

wrong = []
stop = threading.Event()
counts = {}


def one_client(usher, name):
    address = usher.expand(usher.address(name))
    while not stop.is_set():
        try:
            with connect(address, 60) as client:
                data = receive_all(client)
        except OSError as error:
            wrong.append((name, error))
            return
        if not data:
            wrong.append((name, "cut"))
        counts[name] = counts.get(name, 0) + 1


with Daemon(CONF) as usher:
    threads = [threading.Thread(target=one_client, args=(usher, name))
               for name in ("queue", "own", "first") for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for number in range(2, 12):
            for name in ("queue", "own", "first"):
                before = set(usher.workers(name))
                usher.call("Roll", service=name, wait=True)
                state = usher.service(name)
                assert state["generation"] == number, state
                fresh = {w["pid"] for w in state["workers"]
                         if w["generation"] == number}
                assert len(fresh) >= 3 or name == "first", state
                assert not fresh & before, (fresh, before)
                now = counts.get(name, 0)
                wait_for(lambda name=name, now=now:
                         counts.get(name, 0) > now)
            assert not wrong, wrong[:5]
        for name in ("queue", "own", "first"):
            wait_for(lambda name=name: all(
                w["generation"] == 11
                for w in usher.service(name)["workers"]))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not wrong, wrong[:5]
    print(counts)
    assert min(counts.values()) > 5, counts
    for name in counts:
        assert sum(usher.service(name)["refused"].values()) == 0

    # SIGHUP's reload of an unchanged file rolls nothing.
    os.kill(usher.pid, signal.SIGHUP)
    wait_for(lambda: "reloaded" in usher.log)
    assert usher.service("queue")["generation"] == 11
