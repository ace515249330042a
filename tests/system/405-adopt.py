"""Doors of living programs change hands without a refused connection: a
Python server under load is replaced by usher (adopt --pid) and usher by a
Python server (fetch --lease); the cure of a port in use, copied from the
error's own text, works; a door or service that only the file on disk names."""
import os
import re
import shlex
import socket
import subprocess
import threading

from harness import (BINARY, Daemon, PYTHON, cannot, free_port, popen, stopped,
                     wait_for)

root = True
timeout = 180

# Waits in select and accept, as most do; once usher has the socket too,
# accept no longer waits. Told to go it finishes the client that it has.
SERVER = """
import os, select, signal, socket, sys
wake, waker = os.pipe()
os.set_blocking(waker, False)
signal.set_wakeup_fd(waker)
signal.signal(signal.SIGTERM, lambda number, frame: None)
if len(sys.argv) > 2:
    door = socket.create_server((sys.argv[1], int(sys.argv[2])), backlog=1000)
else:
    door = socket.socket(fileno=3)
    door.setblocking(True)          # the socket is usher's too
print("ready", flush=True)
while wake not in select.select([door, wake], [], [])[0]:
    try:
        client, _ = door.accept()
    except BlockingIOError:
        continue
    client.sendall(b"python\\n" if len(sys.argv) > 2 else b"borrower\\n")
    client.close()
"""
CONF = """
[service web]
listen = tcp:127.0.0.1:@PORT:web@
exec = /bin/echo usher

[service other]
listen = unix:@DIR@/other
exec = /bin/echo other
"""


class Load(threading.Thread):
    """Connects again and again; who answered, and what went wrong."""

    def __init__(self, port):
        super().__init__()
        self.port, self.answers, self.errors = port, {}, []
        self.end = threading.Event()
        self.start()

    def run(self):
        while not self.end.is_set():
            try:
                with socket.create_connection(("127.0.0.1", self.port),
                                              20) as sock:
                    text = sock.makefile().readline().strip()
                self.answers[text] = self.answers.get(text, 0) + 1
                if not text:
                    self.errors.append("no answer")
            except OSError as error:
                self.errors.append(repr(error))

    def wait(self, name, more=20):
        goal = self.answers.get(name, 0) + more
        wait_for(lambda: self.errors or self.answers.get(name, 0) >= goal,
                 40, f"{more} answers of {name}")
        assert not self.errors, self.errors[:5]

    def stop(self):
        self.end.set()
        self.join()
        assert not self.errors, self.errors[:5]


def server(*words):
    process = popen([PYTHON, "-c", SERVER, *map(str, words)],
                    stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def end(process):
    stopped(process)
    process.stdout.close()


# pidfd_getfd may be forbidden here (a container without ptrace).
probe = server("127.0.0.1", free_port())
pidfd = os.pidfd_open(probe.pid)
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
if libc.syscall(438, pidfd, 0, 0) < 0:
    cannot("pidfd_getfd is not allowed here")
os.close(pidfd)
end(probe)

usher = Daemon(CONF, fds=False)
old = server("127.0.0.1", usher.port("web"))
load = Load(usher.port("web"))
load.wait("python")
with usher:
    # It is degraded meanwhile, and says who is in the way and what helps.
    reason = usher.service("web")["reason"]
    found = re.fullmatch(
        rf"tcp:127\.0\.0\.1:{usher.port('web')} is held by python3?\S* "
        rf"\(pid {old.pid}\); '(usher adopt web --pid \d+ --listen \S+)' "
        "takes it without closing", reason)
    assert found, reason
    done = usher.run(*shlex.split(found.group(1))[1:])
    assert done.stdout == "web: the socket is a door of it now\n", done
    assert usher.service("web")["state"] == "running"
    load.wait("usher")
    end(old)
    load.wait("usher", 100)
    assert set(load.answers) <= {"python", "usher"}, load.answers

    # And back: lent to a program, which ends.
    borrower = popen([BINARY, "fetch", "web", "--lease", "--", PYTHON, "-c",
                      SERVER], stdout=subprocess.PIPE, text=True,
                     env=usher.environment())
    assert borrower.stdout.readline() == "ready\n"
    load.wait("borrower", 50)
    end(borrower)
    load.wait("usher", 50)
    load.stop()

    # Once more is not possible, and the wrong one is not there.
    usher.run("adopt", "web", "--pid", str(os.getpid()), "--listen",
              f"tcp:127.0.0.1:{usher.port('web')}", status=1)
    with socket.create_server(("127.0.0.1", 0)) as mine:
        port = mine.getsockname()[1]
        done = usher.run("adopt", "web", "--pid", str(os.getpid()),
                         "--listen", f"tcp:127.0.0.1:{port}")
        done = usher.run("adopt", "web", "--pid", str(os.getpid()),
                         "--listen", f"tcp:127.0.0.1:{port}", status=1)
        assert "it is a door of web already" in done.stderr, done
    # The file does not name it: it stays, through a reload, until the
    # service goes.
    usher.run("reload", "--wait")
    with socket.create_connection(("127.0.0.1", port), 20) as sock:
        assert sock.makefile().readline() == "usher\n"

    # A service that only the file on disk names: reloaded with the given
    # socket for its door.
    old = server("127.0.0.1", usher.port("new"))
    usher.write(CONF + f"""
[service new]
listen = tcp:127.0.0.1:{usher.port('new')}
exec = /bin/echo new
""")
    done = usher.run("reload", status=1)
    assert f"is held by python" in done.stderr, done
    load = Load(usher.port("new"))
    load.wait("python")
    usher.run("adopt", "new", "--pid", str(old.pid), "--listen",
              f"tcp:127.0.0.1:{usher.port('new')}")
    end(old)
    load.wait("new", 50)
    load.stop()

    # A service that nobody knows.
    with socket.create_server(("127.0.0.1", 0)) as mine:
        assert usher.error("Adopt", [mine.fileno()], service="nobody") == \
            "org.usher.NoSuchService"
        # A Unix socket, by --fd.
        with socket.socket(socket.AF_UNIX) as door:
            door.bind(usher.dir + "/third")
            door.listen()
            usher.run("adopt", "other", "--fd", str(door.fileno()),
                      pass_fds=(door.fileno(),))
        with usher.client(f"unix:{usher.dir}/third") as client:
            assert client.makefile().readline() == "other\n"
