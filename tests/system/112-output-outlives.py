"""A program's child that keeps its output outlives it, its service and
usher; usher lets go of the other end when it ends."""
import os
import signal

from harness import Daemon, wait_for

parallel = True

CONF = """
[service first]
listen = unix:@DIR@/first
exec = /bin/sh -c 'sleep 600 & echo $!'

[service stays]
listen = unix:@DIR@/stays
exec = /bin/echo hello
"""

with Daemon(CONF, fds=False) as usher:
    with usher.client("first") as client:
        pid = int(client.recv(100))
    wait_for(lambda: usher.service("first")["busy"] == 0)
    usher.write(CONF[CONF.index("[service stays]"):])
    usher.call("Reload")
    assert [s["name"] for s in usher.call("Status")["services"]] == ["stays"]
    assert usher.stop() == 0
    os.kill(pid, signal.SIGKILL)
