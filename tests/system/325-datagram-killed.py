"""Usher is killed between the read of a datagram and its record: who takes
over gives it on, once."""
import socket

from harness import Daemon, skip, wait_for
from continuity_lib import is_debug
from trigger_lib import lines

parallel = True

CONF = """
[service job]
trigger = unix-dgram:@DIR@/job
exec = /bin/sh -c 'echo "$USHER_TRIGGER" >> @DIR@/ran'
"""

if not is_debug():
    skip("fault points are in builds with --enable-debug")

with Daemon(CONF, fds=False, env={"USHER_CRASH_AT": "datagram-read"}) as usher:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.connect(f"{usher.dir}/job")
        s.send(b"first")
        usher.proc.wait()
        usher.start()
        wait_for(lambda: lines(f"{usher.dir}/ran") == ["first"])
        s.send(b"next")
        wait_for(lambda: lines(f"{usher.dir}/ran") == ["first", "next"])
    assert usher.call("Status")["crashes"] == 1
