"""An upgrade and a kill go on with the watch of the FIFOs' directories: to
close it would hold up the doors; what is removed is still made anew."""
import os
import re
import signal
import stat

from harness import Daemon, wait_for
from continuity_lib import settled, upgrades
from trigger_lib import lines, put

parallel = True

FIFO = """
[service job]
trigger = fifo:job
exec = /bin/sh -c 'echo "$USHER_TRIGGER" >> @DIR@/ran'
"""
FIRST = """
[service first]
trigger = fifo:@DIR@/elsewhere/first
exec = /bin/true
"""
CONF = """
[usher]
keeper = %s
[service echo]
listen = unix:@DIR@/echo
builtin = echo
"""


def watches(pid):
    """Each inotify descriptor and the directories that it watches."""
    found = {}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            kind = os.readlink(f"/proc/{pid}/fd/{fd}")
        except FileNotFoundError:
            continue
        if kind == "anon_inode:inotify":
            with open(f"/proc/{pid}/fdinfo/{fd}", encoding="utf-8") as file:
                found[fd] = re.findall(r"^inotify (wd:\w+ ino:\w+)",
                                       file.read(), re.M)
    return found


def made_anew(usher, word):
    fifo = f"{usher.dir}/spool/job"
    os.unlink(fifo)
    wait_for(lambda: os.path.exists(fifo) and
             stat.S_ISFIFO(os.lstat(fifo).st_mode))
    put(fifo, word.encode() + b"\n")
    wait_for(lambda: word in lines(f"{usher.dir}/ran"))


def upgrade(usher):
    usher.run("upgrade")
    assert upgrades(usher)["count"] == 1
    settled(usher)


def kill(usher):
    os.kill(usher.pid, signal.SIGKILL)
    usher.proc.wait()
    usher.start()


def reload(usher, conf):
    usher.write(conf)
    usher.call("Reload")


for keeper, act in (("no", upgrade), ("yes", kill)):
    none = CONF % keeper
    usher = Daemon(none + FIRST + FIFO, fds=False)
    os.mkdir(f"{usher.dir}/elsewhere", 0o755)
    with usher:
        # A watch that is not the first: a new descriptor's would be.
        reload(usher, none + FIFO)
        wait_for(lambda: [len(w) for w in watches(usher.pid).values()] == [1])
        first = watches(usher.pid)
        made_anew(usher, "before")
        act(usher)
        assert watches(usher.pid) == first, (watches(usher.pid), first)
        made_anew(usher, "after")
        put(f"{usher.dir}/spool/job", b"a close ends it")
        wait_for(lambda: "a close ends it" in lines(f"{usher.dir}/ran"))
        reload(usher, none)
        wait_for(lambda: not watches(usher.pid))
        reload(usher, none + FIFO)
        assert len(watches(usher.pid)) == 1
        made_anew(usher, "again")
