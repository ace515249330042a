"""pid_file tells who runs, and is locked by whoever that is: after a kill, an
upgrade, another kill; then it is gone."""
import fcntl
import os

from harness import Daemon, wait_for
from continuity_lib import next_ready

parallel = True
timeout = 120

CONF = """
[usher]
keeper = yes
pid_file = @DIR@/pid

[service echo]
listen = unix:@DIR@/echo
builtin = echo
"""


def is_held():
    with open(f"{usher.dir}/pid", encoding="ascii") as file:
        assert file.read() == f"{usher.pid}\n"
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
    raise AssertionError("not locked")


def killed():
    usher.kill()
    usher.read_notify()
    usher.start(ready=False)
    next_ready(usher)


with Daemon(CONF, fds=False) as usher:
    is_held()
    killed()
    is_held()
    pid = usher.pid
    assert usher.run("upgrade").returncode == 0
    assert usher.pid == pid
    is_held()
    killed()
    is_held()
    assert "another process holds it" not in usher.log
    usher.run("shutdown")
    wait_for(lambda: not os.path.exists(f"{usher.dir}/pid"))
