"""As PID 1 usher reaps what its workers leave behind, and nothing else."""
import os

from harness import Daemon, process_state, receive_all, wait_for, children

root = True
plain = True

CONF = """
[service parent]
listen = unix:@DIR@/parent
exec = /bin/sh -c 'sleep 0.1 & sleep 0.1 & echo here'
"""

with Daemon(CONF, command=["unshare", "--pid", "--fork", "--kill-child",
                           "--mount-proc", "@BUILD@/usher", "serve", "-c",
                           "@DIR@/usher.ini"], fds=False, status="gone") as usher:
    for _ in range(20):
        with usher.client("parent") as client:
            assert receive_all(client) == b"here\n"

    def inside():
        """usher's pid out here, and what is below it."""
        first = children(usher.proc.pid)
        return first[0], children(first[0])

    wait_for(lambda: not [p for p in inside()[1]
                          if process_state(p) == "Z"], what="orphans reaped")
    assert os.path.basename(os.readlink(f"/proc/{inside()[0]}/exe")) == "usher"
