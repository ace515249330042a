"""kill -9 of usher in the middle of relayed streams: not a byte is lost,
doubled or out of order. TCP by read and write and by splice; other sockets
with survive = crash; echo; an idle connection stays."""
import os
import subprocess
import time

from harness import BUILD, Daemon, wait_for

timeout = 200

CONF = """
[usher]
keeper = respawn

[service tcp]
listen = tcp:127.0.0.1:@PORT:tcp@
relay = tcp:127.0.0.1:@PORT:up@

[service spliced]
listen = unix:@DIR@/spliced
relay = unix:@DIR@/up
survive = crash

[service echo]
listen = tcp:127.0.0.1:@PORT:echo@
builtin = echo
"""
KILLS = 5


def kill(usher):
    """The next one says READY=1 with its pid."""
    old = usher.pid
    os.kill(old, 9)
    wait_for(lambda: "READY=1" in usher.read_notify() and usher.pid != old)


def torture(usher, *args):
    if os.path.exists(f"{usher.dir}/up"):
        os.unlink(f"{usher.dir}/up")
    proc = subprocess.Popen([f"{BUILD}/tests/torture", *map(str, args)])
    for _ in range(KILLS):
        time.sleep(0.3)     # some way into the streams, or after them
        kill(usher)
    assert proc.wait(150) == 0, args


with Daemon(CONF, fds=False) as usher:
    idle = usher.client("echo")
    idle.sendall(b"before")
    assert idle.recv(100) == b"before"
    up = f"tcp:{usher.port('up')}"
    torture(usher, "-c", f"tcp:{usher.port('tcp')}", "-l", up, "-n", 64,
            "-b", 300_000_000, "-w", 20)
    torture(usher, "-c", f"tcp:{usher.port('tcp')}", "-l", up, "-n", 1,
            "-b", 1_000_000_000)
    torture(usher, "-c", f"unix:{usher.dir}/spliced", "-l",
            f"unix:{usher.dir}/up", "-n", 32, "-b", 300_000_000, "-w", 20)
    torture(usher, "-c", f"tcp:{usher.port('echo')}", "-e", "-n", 32, "-b",
            300_000_000)
    idle.sendall(b"after")
    assert idle.recv(100) == b"after"
    idle.close()
