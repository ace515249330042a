"""Postfix's own trigger client, postkick, at a FIFO and a Unix socket of
usher's: it writes no end into the FIFO, and is served at once."""
import time

from harness import Daemon, wait_for
from lab import Root
from postfix_lib import set_up
from trigger_lib import lines

group = "peers"
roots = ["postfix"]
root = True
timeout = 120

CONF = """
[service kick]
trigger = fifo:/var/spool/postfix/public/kickfifo owner=postfix mode=0622
trigger = unix:/var/spool/postfix/public/kickunix
trigger_timeout = 60s
exec = /bin/sh -c 'echo "$(cat)" >> @DIR@/ran'
"""

with Root("postfix") as box:
    set_up(box)
    with Daemon(CONF, root=box, fds=False) as usher:
        ran = f"{usher.dir}/ran"
        expected = []
        began = time.monotonic()
        for door in ("kickfifo", "kickunix"):
            for word in ("W", "W", "F"):
                box.run("postkick", "public", door, word)
                expected.append(word)
                # One after the other was served: two are two.
                wait_for(lambda: lines(ran) == expected)
        assert time.monotonic() - began < 55
