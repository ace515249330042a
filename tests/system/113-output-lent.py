"""Processes of spawn write through pipes that serve again: each line under
the pid that wrote it, and a child that its process left behind keeps the
pipe for itself. They are in a group of their own, without a terminal."""
import os
import signal

from harness import Daemon, wait_for

parallel = True

CONF = """
[service says]
listen = unix:@DIR@/says
exec = /bin/sh -c 'echo "says $$" >&2; ps -o pgid= -p $$; echo $$'

[service leaves]
listen = unix:@DIR@/leaves
exec = /bin/sh -c '(read x <@DIR@/go; echo late >/dev/stderr) & echo "left $!" >&2; echo $$'
"""


def words(usher, name):
    with usher.client(name) as client:
        said = b""
        while more := client.recv(100):
            said += more
    return said.split()


with Daemon(CONF, fds=False) as usher:
    go = f"{usher.dir}/go"
    os.mkfifo(go)
    for _ in range(8):
        group, pid = words(usher, "says")
        assert group == pid
        usher.wait_log(rf"says\[{int(pid)}\].*says {int(pid)}$")
    # One after the other: what was opened for the first served them all.
    pipes = [f for f in os.listdir(f"/proc/{usher.pid}/fd") if "pipe:" in
             os.readlink(f"/proc/{usher.pid}/fd/{f}")]
    assert len(pipes) <= 4, pipes

    with usher.client("leaves") as client:
        pid = int(client.recv(100))
        usher.wait_log(rf"leaves\[{pid}\].*left")
    wait_for(lambda: usher.service("leaves")["busy"] == 0)
    _, other = words(usher, "says")
    usher.wait_log(rf"says\[{int(other)}\]")
    usher.run("upgrade")
    with open(go, "w") as f:
        f.write("\n")
    usher.wait_log(rf"leaves\[{pid}\].*late")
    group, pid = words(usher, "says")
    usher.wait_log(rf"says\[{int(pid)}\].*says {int(pid)}$")
