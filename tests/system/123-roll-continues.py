"""Usher is killed while a roll is under way: the old serve on, the roll goes
on where it was, and whoever connects meanwhile is served."""
import os
import signal
import threading

from harness import Daemon, connect, receive_all, wait_for

timeout = 120

CONF = """
[defaults]
handoff = pass
workers = 2
exec = /usr/bin/python3 @TESTS@/pass_worker.py hello
environment = VERSION=1
settle = 1s

[service queue]
listen = unix:@DIR@/queue

[service own]
listen = unix:@DIR@/own
exec = /usr/bin/python3 @TESTS@/pass_worker.py reports
pick = leastconn

[service slow]
listen = unix:@DIR@/slow
exec = /usr/bin/python3 @TESTS@/pass_worker.py slow 1
roll = 0
workers = 1
"""

stop = threading.Event()
wrong = []


def load(address):
    while not stop.is_set():
        try:
            with connect(address, 60) as client:
                if not receive_all(client):
                    wrong.append("cut")
        except OSError as error:
            wrong.append(error)


def ready(name, generation):
    return [w["pid"] for w in usher.service(name)["workers"]
            if w["generation"] == generation
            and w["state"] in ("idle", "busy")]


with Daemon(CONF) as usher:
    old = {n: set(usher.workers(n)) for n in ("queue", "own", "slow")}
    address = {n: usher.expand(usher.address(n)) for n in old}
    threads = [threading.Thread(target=load, args=(address[n],))
               for n in ("queue", "own")]
    for thread in threads:
        thread.start()
    slow = usher.client("slow")
    wait_for(lambda: usher.service("slow")["waiting"] == 0)
    for name in old:
        usher.call("Roll", service=name)
    wait_for(lambda: ready("queue", 2) and ready("own", 2))
    waiting = usher.client("slow")
    os.kill(usher.pid, signal.SIGKILL)
    usher.proc.wait()
    usher.start()
    for name in ("queue", "own"):
        state = usher.service(name)
        assert state["state"] == "rolling", state
        assert old[name] <= {w["pid"] for w in state["workers"]}, state
    # Programs that can't overlap don't.
    state = usher.service("slow")
    assert len(state["workers"]) <= 1 or \
        not old["slow"] & {w["pid"] for w in state["workers"]}, state
    for name in old:
        wait_for(lambda name=name: usher.service(name)["state"] == "running"
                 and not old[name] & set(usher.workers(name)))
        assert usher.service(name)["generation"] == 2
        assert len(ready(name, 2)) == (1 if name == "slow" else 2)
    stop.set()
    for thread in threads:
        thread.join()
    assert receive_all(slow) and receive_all(waiting)
    slow.close()
    waiting.close()
    assert not wrong, wrong[:5]
