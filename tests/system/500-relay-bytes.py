"""A relay carries each byte once, in order, both ways, whatever the sockets
are, however they are read, and ends as its ends do."""
import os
import subprocess

from harness import BUILD, Daemon

timeout = 300

CONF = """
[service tcp-tcp]
listen = tcp:127.0.0.1:@PORT:tcp-tcp@
relay = tcp:127.0.0.1:@PORT:up@

[service unix-unix]
listen = unix:@DIR@/unix-unix
relay = unix:@DIR@/up

[service tcp-unix]
listen = tcp:127.0.0.1:@PORT:tcp-unix@
relay = unix:@DIR@/up

[service unix-tcp]
listen = unix:@DIR@/unix-tcp
relay = tcp:127.0.0.1:@PORT:up@

[service spliced]
listen = unix:@DIR@/spliced
relay = unix:@DIR@/up
survive = crash

[service echo]
listen = tcp:127.0.0.1:@PORT:echo@
builtin = echo
"""


def torture(usher, door, upstream, *args):
    """Everything is checked by tests/torture.c, which says what it does."""
    if os.path.exists(f"{usher.dir}/up"):
        os.unlink(f"{usher.dir}/up")
    doors = {"t": f"tcp:{usher.port(door)}", "u": f"unix:{usher.dir}/{door}"}
    ups = {"tcp": f"tcp:{usher.port('up')}", "unix": f"unix:{usher.dir}/up"}
    subprocess.run([f"{BUILD}/tests/torture", "-l", ups[upstream], "-c",
                    doors["u" if door.startswith(("unix", "spl")) else "t"],
                    *map(str, args)], check=True, timeout=200)


with Daemon(CONF) as usher:
    # 500 MB in all, in chunks of random size.
    for n in 1, 64, 1000:
        torture(usher, "tcp-tcp", "tcp", "-n", n, "-b", 100_000_000)
    for door, upstream in (("unix-unix", "unix"), ("tcp-unix", "unix"),
                           ("unix-tcp", "tcp"), ("spliced", "unix")):
        torture(usher, door, upstream, "-n", 64, "-b", 40_000_000)
    torture(usher, "echo", "tcp", "-e", "-n", 64, "-b", 40_000_000)

    # Slow readers, and connections that are reset half-way.
    for seed in 1, 2, 3:
        for door, upstream in (("tcp-tcp", "tcp"), ("unix-unix", "unix"),
                               ("spliced", "unix")):
            torture(usher, door, upstream, "-n", 200, "-b", 10_000_000,
                    "-r", 30, "-w", 30, "-s", seed)

    # The harness demands that no descriptor and no process is left.
