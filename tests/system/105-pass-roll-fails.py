"""A new version that does not come up, or dies while it settles, or never
gets ready: the roll fails, the old goes on serving, with the old settings."""
from harness import Daemon, wait_for, CallError

parallel = True
timeout = 120

CONF = """
[service shop]
listen = unix:@DIR@/shop
exec = /usr/bin/python3 @TESTS@/pass_worker.py hello
environment = VERSION=1
handoff = pass
workers = 2
settle = 500ms
"""

GOOD = "pass_worker.py hello"


def generation(usher):
    with usher.client("shop") as client:
        return client.recv(100).split()[1]


def fails(usher, exec_line, extra, reason):
    old = set(usher.workers("shop"))
    usher.write(CONF.replace(GOOD, exec_line) + extra)
    try:
        usher.call("Reload", wait=True)
    except CallError as error:
        text = str(error)
    else:
        raise AssertionError(f"{exec_line}: the roll was no failure")
    assert reason in text, text
    assert old <= set(usher.workers("shop")), usher.log
    for _ in range(10):
        assert generation(usher) == b"1"
    wait_for(lambda: set(usher.workers("shop")) == old)
    state = usher.service("shop")
    assert state["state"] == "running", state


with Daemon(CONF) as usher:
    assert generation(usher) == b"1"
    fails(usher, "pass_worker.py exit 1", "", "exited with status 1")
    fails(usher, "pass_worker.py asleep",
          "ready = notify\nstart_timeout = 300ms\nstop_timeout = 100ms\n",
          "start_timeout")
    fails(usher, "nothere.py", "", "exited with status 2")

    # And one that lives takes over.
    usher.write(CONF.replace("VERSION=1", "VERSION=2"))
    usher.call("Reload", wait=True)
    wait_for(lambda: generation(usher) == b"2")
    wait_for(lambda: len(usher.workers("shop")) == 2)
