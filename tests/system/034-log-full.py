"""Nobody reads the log: standard error is a full pipe or a terminal, journald's
or syslog's socket takes nothing, or is gone for a while. Usher serves on, drops
lines, says how many, and finds who is started anew."""
import os
import re
import signal
import socket
import subprocess
import time

from harness import (BINARY, Daemon, cannot, popen, receive_all, stopped,
                     wait_for)

root = True
timeout = 120

CONF = """
[usher]
log = @LOG@
log_level = debug

[service hello]
listen = unix:@DIR@/hello
exec = /bin/sh -c 'echo much to say >&2; echo hello'
log_connections = yes
"""
CLIENTS = 400


def serves(usher, count):
    slowest = 0.0
    for _ in range(count):
        began = time.monotonic()
        with usher.client("hello") as client:
            assert receive_all(client) == b"hello\n"
        slowest = max(slowest, time.monotonic() - began)
    return slowest


def full_pipe():
    """Standard error is a pipe that nobody empties, then somebody does."""
    read, write = os.pipe()
    usher = Daemon(CONF.replace("@LOG@", "stderr"), command=[
        "sh", "-c", f"exec @BUILD@/usher serve -c @DIR@/usher.ini "
        f"2>/proc/{os.getpid()}/fd/{write}"])
    with usher:
        os.close(write)
        serves(usher, CLIENTS)
        wait_for(lambda: usher.service("hello")["busy"] == 0)
        os.set_blocking(read, False)
        text = b""

        def dropped():
            nonlocal text
            serves(usher, 1)
            try:
                while part := os.read(read, 65536):
                    text += part
            except BlockingIOError:
                pass
            return re.search(rb"warning: (\d+) log lines could not be "
                             rb"written", text)
        count = int(wait_for(dropped)[1])
        assert count > 100, count
        # Whole lines, however full it was.
        for line in text.decode().splitlines():
            assert line.startswith("usher: "), line
    os.close(read)
    print(f"full pipe: {count} lines dropped")


def terminal():
    """A terminal that stands still; it calls itself writable when one byte
    has room."""
    master, slave = os.openpty()
    usher = Daemon(CONF.replace("@LOG@", "stderr"), command=[
        "sh", "-c", f"exec @BUILD@/usher serve -c @DIR@/usher.ini "
        f"2>/proc/{os.getpid()}/fd/{slave}"])
    with usher:
        serves(usher, CLIENTS)
        wait_for(lambda: usher.service("hello")["busy"] == 0)
        os.set_blocking(master, False)
        text = b""

        def dropped():
            nonlocal text
            serves(usher, 1)
            try:
                while part := os.read(master, 65536):
                    text += part
            except BlockingIOError:
                pass
            return re.search(rb"\n(usher: warning: (\d+) log lines could not "
                             rb"be written)\r\n", text)
        count = int(wait_for(dropped)[2])
        assert count > 100, count
    os.close(master)
    os.close(slave)
    print(f"terminal: {count} lines dropped")


# A socket that nobody reads, at the path of journald's or syslog's; then none
# is there, then one that is read.
COVER = """
mount -t tmpfs none @PLACE@ || exit 76
exec /usr/bin/python3 -c '
import os, socket, sys, time
path, folder = sys.argv[1:3]
def door():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.bind(path)
    return s
if path == "/dev/log":
    os.mknod("/dev/null", 0o20666, os.makedev(1, 3))
os.makedirs(os.path.dirname(path), exist_ok=True)
s = door()
child = os.fork()
if child == 0:
    if os.fork():
        os._exit(0)     # nobody that usher would have to reap
    def when(name):
        while not os.path.exists(folder + "/" + name):
            time.sleep(0.02)
    when("end")
    s.close()
    os.unlink(path)
    open(folder + "/ended", "w").close()
    when("again")
    s = door()
    open(folder + "/begun", "w").close()
    s.settimeout(20)
    while True:
        data = s.recv(65536)
        if b"could not be written" in data:
            open(folder + "/told", "wb").write(data)
            os._exit(0)
os.waitpid(child, 0)
s.close()
os.execv(sys.argv[3], sys.argv[3:])
' @SOCKET@ @DIR@ @BUILD@/usher serve -c @DIR@/usher.ini
"""


def stuck(log, place, path):
    script = COVER.replace("@PLACE@", place).replace("@SOCKET@", path)
    with Daemon(CONF.replace("@LOG@", log), fds=False, ready=False, command=[
            "unshare", "--mount", "--propagation", "private", "sh", "-c",
            script]) as usher:
        wait_for(lambda: usher.exited() or os.path.exists(usher.control))
        if usher.ended == 76:
            cannot("no mounts")
        usher.wait_ready()
        serves(usher, CLIENTS)
        wait_for(lambda: usher.service("hello")["busy"] == 0)
        for ask, answer in ("end", "ended"), ("again", "begun"):
            open(f"{usher.dir}/{ask}", "w", encoding="ascii").close()
            wait_for(lambda: os.path.exists(f"{usher.dir}/{answer}"))
            serves(usher, 1)

        def told():
            serves(usher, 1)
            with open(f"{usher.dir}/told", encoding="utf-8") as file:
                return re.search(r"(\d+) log lines could not", file.read())
        count = int(wait_for(told)[1])
        assert count > 100, count
        print(f"{log}: {count} lines dropped")


full_pipe()
terminal()
stuck("journal", "/run", "/run/systemd/journal/socket")
stuck("syslog", "/dev", "/dev/log")
