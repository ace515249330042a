"""A path whose socket becomes another one at a reload: bound aside, renamed
over the old one, which is drained. Who connects without pause finds one at
every moment, and each is served."""
import errno
import os
import socket
import threading
import time

from harness import Daemon, dose, wait_for

timeout = 600
full = 120

CONF = """
[usher]
keeper = no

[service a]
listen = %s:@DIR@/door mode=0660
exec = /bin/cat

[service b]
listen = unix:@DIR@/b
exec = /bin/cat
%s
"""
KINDS = {"unix": socket.SOCK_STREAM, "unix-seqpacket": socket.SOCK_SEQPACKET}
stop = threading.Event()
wrong, served = [], {kind: 0 for kind in KINDS.values()}


def one(path, kind):
    """Served, or it is of the other kind now."""
    with socket.socket(socket.AF_UNIX, kind) as sock:
        sock.settimeout(20)
        try:
            sock.connect(path)
        except OSError as error:
            if error.errno == errno.EPROTOTYPE:
                return False
            raise
        sock.sendall(b"x")
        assert sock.recv(1) == b"x", "cut"
        return True


def load(path, kind):
    while not stop.is_set():
        try:
            served[kind] += one(path, kind)
        except (OSError, AssertionError) as error:
            wrong.append(repr(error))


with Daemon(CONF % ("unix", "")) as usher:
    path = f"{usher.dir}/door"
    threads = [threading.Thread(target=load, args=(path, kind), daemon=True)
               for kind in KINDS.values() for _ in range(2)]
    for thread in threads:
        thread.start()
    for i in range(dose(300)):
        word = ("unix-seqpacket", "unix")[i % 2]
        inode = os.stat(path).st_ino
        usher.write(CONF % (word, ""))
        assert usher.call("Reload")["result"] == "reloaded"
        assert os.stat(path).st_ino != inode
        assert os.stat(path).st_mode & 0o777 == 0o660
        seen = served[KINDS[word]]
        wait_for(lambda: served[KINDS[word]] > seen or wrong)
        assert not wrong, wrong[:5]
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:5]
    assert min(served.values()) > 5, served
    print(served)
    assert not [f for f in os.listdir(usher.dir) if f.startswith(".usher")]

    # A path that a service listened at becomes another's trigger.
    usher.write(CONF.replace("listen = %s:@DIR@/door mode=0660\n",
                             "trigger = %s:@DIR@/door\n") % ("unix", ""))
    usher.run("reload")
    usher.run("trigger", f"unix:{path}", "x")
    wait_for(lambda: usher.service("a")["runs"] == 1)
    # Another mistake in the same file: nothing was moved.
    inode = os.stat(path).st_ino
    usher.write(CONF % ("unix-seqpacket",
                        "listen = unix:/proc/nowhere/door"))
    usher.run("reload", status=1)
    assert os.stat(path).st_ino == inode
    assert not [f for f in os.listdir(usher.dir) if f.startswith(".usher")]
    usher.run("trigger", f"unix:{path}", "y")
    # And it is there when usher has gone: no, its own is removed.
assert not os.path.exists(path)
