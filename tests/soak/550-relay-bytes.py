"""10 GB of checked bytes through relays: 1, 64 and 1,000 connections, with
resets and slow readers, in the daemon and in two processes."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "system"))
from harness import BUILD, Daemon  # noqa: E402

group = "soak"
timeout = 7200

CONF = """
[service one]
listen = tcp:127.0.0.1:@PORT:one@
relay = tcp:127.0.0.1:@PORT:up@

[service two]
listen = tcp:127.0.0.1:@PORT:two@
relay = tcp:127.0.0.1:@PORT:up@
relay_workers = 2
"""

with Daemon(CONF, fds=False) as usher:
    for seed, (service, n) in enumerate(
            (s, n) for s in ("one", "two") for n in (1, 64, 1000)):
        subprocess.run(
            [f"{BUILD}/tests/torture", "-c", f"tcp:{usher.port(service)}",
             "-l", f"tcp:{usher.port('up')}", "-n", str(n),
             "-b", str(1_700_000_000), "-s", str(seed + 1)], check=True)
        subprocess.run(
            [f"{BUILD}/tests/torture", "-c", f"tcp:{usher.port(service)}",
             "-l", f"tcp:{usher.port('up')}", "-n", str(n),
             "-b", str(100_000_000), "-s", str(seed + 1), "-r", "30",
             "-w", "30"], check=True)
