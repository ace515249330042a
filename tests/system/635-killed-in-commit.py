"""Usher is killed in the one turn in which a reload takes effect, when a door
has gone to a service that the last good configuration does not have: whoever
goes on finds who has it there, and then goes where the file on disk says."""
import os
import signal

from harness import Daemon, skip, wait_for
from continuity_lib import is_debug, next_ready

timeout = 60

CONF = """
[usher]
keeper = respawn
[service %s]
listen = tcp:127.0.0.1:@PORT:door@
exec = /bin/cat
[service other]
listen = unix:@DIR@/other
exec = /bin/cat
"""

if not is_debug():
    skip("fault points are in builds with --enable-debug")
with Daemon(CONF % "one", fds=False,
            env={"USHER_CRASH_AT": "door-moved"}) as usher:
    usher.call("Pause", service="one")      # it waits in the queue
    with usher.client("one") as client:
        client.sendall(b"here\n")
        usher.write(CONF % "two")
        usher.read_notify()
        usher.signal(signal.SIGHUP)
        next_ready(usher)
        assert usher.call("Status")["crashes"] == 1
        assert client.recv(10) == b"here\n"
    wait_for(lambda: "two" in [s["name"] for s in
                               usher.call("Status")["services"]])
    names = [s["name"] for s in usher.call("Status")["services"]]
    assert sorted(names) == ["other", "two"], names
