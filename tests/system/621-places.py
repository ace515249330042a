"""Places in the limits are counted again by who takes over: connections of
spawn and discard end after it, and neither their source nor max_connections
is thought full or empty then."""
import os
import signal

from harness import Daemon, wait_for
from continuity_lib import settled

timeout = 120

CONF = """
[service source]
listen = tcp:127.0.0.1:@PORT:source@
exec = /bin/cat
max_per_source = 2

[service all]
listen = tcp:127.0.0.1:@PORT:all@
exec = /bin/cat
max_connections = 2

[service sink]
listen = tcp:127.0.0.1:@PORT:sink@
builtin = discard
max_per_source = 2
"""


def kill_and_start():
    os.kill(usher.pid, signal.SIGKILL)
    usher.proc.wait()
    usher.start()


def upgrade():
    try:
        usher.call("Upgrade")
    except ConnectionError:
        pass
    settled(usher)      # a death on probation brings the old image back


def inside(name):
    return usher.service(name)["inside"]


def answers(client):
    client.sendall(b"x")
    return client.recv(1) == b"x"


with Daemon(CONF) as usher:
    for change in kill_and_start, upgrade, kill_and_start:
        clients = {n: [usher.client(n) for _ in range(2)]
                   for n in ("source", "all", "sink")}
        for name in clients:
            wait_for(lambda name=name: inside(name) == 2)
        change()
        for name in "source", "sink":       # still full: the third is refused
            with usher.client(name) as third:
                third.settimeout(20)
                assert third.recv(1) == b"", name
        for name, two in clients.items():
            for client in two:
                client.close()
            wait_for(lambda name=name: inside(name) == 0)
        for name in "source", "all":        # and there is room again
            with usher.client(name) as one, usher.client(name) as two:
                assert answers(one) and answers(two), name
            wait_for(lambda name=name: inside(name) == 0)
        assert usher.service("all")["state"] == "running"
