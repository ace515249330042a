"""Some workers that were started for arrivals fail, while one serves: when no
more fail, more are started again."""
from harness import Daemon

parallel = True
timeout = 60

CONF = """
[service grows]
listen = unix:@DIR@/grows
exec = /usr/bin/python3 @TESTS@/pass_worker.py unlucky-echo @DIR@/starts
handoff = pass
workers = 1-3
respawn_delay = 20ms
"""

with Daemon(CONF, fds=False) as usher:
    with usher.client("grows") as first:
        assert first.recv(100)
        with usher.client("grows") as second:   # the first stays
            assert second.recv(100)
