"""`scale` up and down; a worker that ignores SIGTERM does not stall, be it at
a roll, a smaller range or the end."""
import time

from harness import Daemon, wait_for

parallel = True
timeout = 120

CONF = """
[service hello]
listen = unix:@DIR@/hello
exec = /usr/bin/python3 @TESTS@/pass_worker.py hello
handoff = pass
workers = 1-8

[service deaf]
listen = unix:@DIR@/deaf
exec = /usr/bin/python3 @TESTS@/pass_worker.py deaf
handoff = pass
workers = 2
settle = 0
drain_timeout = 300ms
stop_timeout = 300ms
"""

with Daemon(CONF) as usher:
    for range_, count in (("6", 6), ("2-8", 2), ("5", 5), ("1", 1)):
        usher.call("Scale", service="hello", workers=range_)
        wait_for(lambda count=count: len(usher.workers("hello")) == count
                 or range_ == "2-8" and len(usher.workers("hello")) <= 6)
        with usher.client("hello") as client:
            assert client.recv(100)

    old = set(usher.workers("deaf"))
    began = time.monotonic()
    usher.call("Roll", service="deaf", wait=True)
    assert time.monotonic() - began < 10
    with usher.client("deaf") as client:
        assert client.recv(100)
    # Told, asked, and then killed.
    wait_for(lambda: not old & set(usher.workers("deaf")))
    usher.wait_log(r"worker \d+ is still there stop_timeout after")
    with usher.client("hello") as client:
        assert client.recv(100)
