"""usher demo: three lines to paste, and each does what it shows; a port in
use gives way to the next; worker and usher are killed, and it goes on."""
import os
import pwd
import re
import signal
import socket
import subprocess

from harness import BINARY, DEADLINE, Daemon, wait_for

parallel = True
timeout = 120

# Not as root: its demo has a place that is everybody's.
nobody = pwd.getpwnam("nobody")
AS_NOBODY = ["setpriv", f"--reuid={nobody.pw_uid}",
             f"--regid={nobody.pw_gid}", "--clear-groups"] \
    if os.geteuid() == 0 else []

taken = socket.socket()
taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
try:
    taken.bind(("127.0.0.1", 7007))
    taken.listen()
except OSError:
    pass                    # somebody else's, as good

usher = Daemon("", command=[*AS_NOBODY, BINARY, "demo"],
               env={"XDG_RUNTIME_DIR": "@DIR@/run"})
os.mkdir(f"{usher.dir}/run")
if AS_NOBODY:
    for path in (usher.dir, f"{usher.dir}/run"):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
usher.control = f"{usher.dir}/run/usher/demo"


def paste(line):
    done = subprocess.run(["sh", "-c", line], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=DEADLINE, check=False,
                          env=usher.environment())
    assert (done.returncode, done.stderr) == (0, ""), (line, done)
    return done.stdout


def all_work():
    """The three lines; returns which worker answered the second."""
    assert paste(lines[0]) == "ahoy\n"
    hello = re.fullmatch(r"hello from worker (\d+), its client number \d+\n",
                         paste(lines[1]))
    before = usher.log.count("for: books")
    assert paste(lines[2]) == ""
    wait_for(lambda: usher.log.count("for: books") == before + 1,
             what="a run of the trigger")
    return int(hello[1])


with usher:
    usher.wait_log("usher serves")
    wait_for(lambda: usher.log.count("and look again.") == 1)
    found = re.search(r"port 7007 is in use, taking (\d+)\n", usher.log)
    assert found and int(found[1]) > 7007, usher.log
    lines = re.findall(r"^  (\S.*)$", usher.log, re.M)
    assert len(lines) == 3, usher.log
    assert f"tcp:127.0.0.1:{found[1]}" in lines[0], lines
    first = all_work()

    # What the last line says: look, kill a worker, kill usher, look again.
    status = re.search(r"^Then: (\S+ --control \S+ status);", usher.log, re.M)
    assert "3 services" in paste(status[1]).splitlines()[0]
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: first not in usher.workers("hello")
             and len(usher.workers("hello")) == 4, what="another worker")
    all_work()
    workers = set(usher.workers("hello"))
    said = re.search(r"usher \(pid (\d+)\)", usher.log)
    assert int(said[1]) == usher.pid
    usher.kill()
    usher.wait_ready()
    assert usher.pid != int(said[1])
    assert set(usher.workers("hello")) == workers
    all_work()
    assert "3 services" in paste(status[1]).splitlines()[0]
    # It runs in the background: what the greeting said ends it, the keeper
    # too (the harness looks), and nothing stays.
    end = re.search(r"^To end it: (\S+ --control \S+ shutdown)$", usher.log,
                    re.M)
    assert "stopped" in paste(end[1])
    usher.wait_exit()
    assert not os.path.exists(f"{usher.dir}/run/usher/demo-spool"), \
        os.listdir(f"{usher.dir}/run/usher/demo-spool")
taken.close()
