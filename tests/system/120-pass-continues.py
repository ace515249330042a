"""Usher is killed and upgraded under load: workers stay, what was queued is
served, who is served goes on; a roll and a limit work on afterwards."""
import os
import signal
import threading
import time

from harness import Daemon, connect, receive_all, wait_for

timeout = 180

CONF = """
[service queue]
listen = unix:@DIR@/queue
exec = /usr/bin/python3 @TESTS@/pass_worker.py slow 0.002
handoff = pass
workers = 3
settle = 0

[service own]
listen = unix:@DIR@/own
exec = /usr/bin/python3 @TESTS@/pass_worker.py reports
handoff = pass
reports = yes
pick = roundrobin
workers = 3
settle = 0

[service stay]
listen = unix:@DIR@/stay
exec = /usr/bin/python3 @TESTS@/pass_worker.py echo
handoff = pass
workers = 1
queue_limit = 10

[service share]
listen = unix:@DIR@/share
exec = /usr/bin/python3 @TESTS@/share_worker.py stay
handoff = share
workers = 2
"""

NAMES = ("queue", "own", "stay", "share")
stop = threading.Event()
wrong = []
served = 0


def load(address):
    global served
    while not stop.is_set():
        try:
            with connect(address, 60) as client:
                if not receive_all(client):
                    wrong.append("cut")
                served += 1
        except OSError as error:
            wrong.append(error)
            time.sleep(0.01)


def workers():
    return {name: sorted(usher.workers(name)) for name in NAMES}


def upgrade():
    """Whether the connection that asked is carried over is not our matter."""
    try:
        usher.call("Upgrade")
    except ConnectionError:
        pass


def kill_and_start():
    os.kill(usher.pid, signal.SIGKILL)
    usher.proc.wait()
    usher.start()


with Daemon(CONF) as usher:
    addresses = [usher.expand(usher.address(n)) for n in ("queue", "own")]
    with usher.client("stay") as client:
        assert client.recv(100)
        waiting = [usher.client("stay") for _ in range(3)]
        wait_for(lambda: usher.service("stay")["waiting"] == 3)
        before = workers()
        threads = [threading.Thread(target=load, args=(address,))
                   for address in addresses * 3]
        for thread in threads:
            thread.start()
        try:
            for change in (kill_and_start, kill_and_start, upgrade):
                change()
                wait_for(lambda: workers() == before)
                client.sendall(b"still here")
                assert client.recv(100) == b"still here"
                now = served
                wait_for(lambda now=now: served > now + 20)
                assert usher.service("stay")["waiting"] == 3
            # Rolls work on, and nobody of before is left.
            for name in ("queue", "own"):
                usher.call("Roll", service=name, wait=True)
                wait_for(lambda name=name: not set(before[name])
                         & set(usher.workers(name)))
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    # The first has gone: who waited is served.
    for late in waiting:
        assert late.recv(100)
        late.close()
    # A worker that dies is seen, though an earlier usher started it.
    pid = usher.workers("share")[0]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: pid not in usher.workers("share")
             and len(usher.workers("share")) == 2)
    assert not wrong, wrong[:5]
