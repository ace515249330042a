"""A FIFO's writer that always has half a line there: each line has the whole
of trigger_timeout, however long there has been half of one."""
import os
import time

from harness import Daemon, wait_for
from trigger_lib import lines

parallel = True

CONF = """
[service job]
trigger = fifo:job
trigger_timeout = 1500ms
exec = /bin/sh -c 'echo "$USHER_TRIGGER" >> @DIR@/ran'
"""

with Daemon(CONF) as usher:
    fifo = os.open(f"{usher.dir}/spool/job", os.O_WRONLY)
    os.write(fifo, b"line")
    number, end = 0, time.monotonic() + 2.5
    while time.monotonic() < end:
        os.write(fifo, b" %d\nline" % number)
        number += 1
        time.sleep(0.05)
    expected = {f"line {n}" for n in range(number)}
    wait_for(lambda: set(lines(f"{usher.dir}/ran")) >= expected)
    assert set(lines(f"{usher.dir}/ran")) == expected
    # Half a line that stays one is a request in the end.
    wait_for(lambda: set(lines(f"{usher.dir}/ran")) == expected | {"line"})
    os.close(fifo)
