"""A usher that crashes by itself again and again takes the doors and lets the
rest go, since something in there may be what kills it; one that others kill
goes on with everything, however often."""
import os
import signal

from harness import Daemon, wait_for
from continuity_lib import next_ready

timeout = 60

CONF = """
[usher]
keeper = respawn
[service cat]
listen = unix:@DIR@/cat
exec = /bin/cat
"""

DOORS_ONLY = "only the doors are taken"


def ended(usher, number):
    usher.read_notify()
    os.kill(usher.pid, number)
    next_ready(usher)


with Daemon(CONF, fds=False) as usher:
    with usher.client("cat") as client:
        for number in range(1, 6):
            ended(usher, signal.SIGKILL)
            # Until then it counts as one that did not come to serve.
            wait_for(lambda: usher.log.count("took over") == number, 20,
                     "all of it taken over")
        assert DOORS_ONLY not in usher.log
        assert usher.call("Connections")["connections"]
        for _ in range(4):
            ended(usher, signal.SIGABRT)
        usher.wait_log(DOORS_ONLY)
        # The door serves, and who was served is: its process knows nothing.
        for c in (client, usher.client("cat")):
            c.sendall(b"here")
            assert c.recv(10) == b"here"
        c.close()
