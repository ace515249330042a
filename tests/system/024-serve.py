"""usher serve: exit codes 0, 1 and 78, -t; SIGTERM drains, a second one stops
at once; SIGHUP brings a new file in, a wrong one changes nothing."""
import os
import signal
import socket
import subprocess
import tempfile

from harness import (BINARY, DEADLINE, Daemon, connect, popen, receive_all,
                     stopped, wait_for)

parallel = True
plain = True
timeout = 120

CONF = """
[service hello]
listen = unix:@DIR@/hello
exec = /bin/echo hello

[service cat]
listen = tcp:127.0.0.1:@PORT@
exec = /bin/cat
"""


def usher(*words):
    done = subprocess.run([BINARY, *words], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=DEADLINE, check=False)
    return done.returncode, done.stdout, done.stderr


# -t checks and leaves; the daemon's word for a wrong file is 78.
with tempfile.TemporaryDirectory(prefix="usher-serve-") as folder:
    file = os.path.join(folder, "usher.ini")
    status, out, errors = usher("serve", "-t", "-c", file)
    assert status == 78 and file in errors, (status, errors)
    status, out, errors = usher("serve", "-c", file)
    assert status == 78 and file in errors, (status, errors)
    # A place where no control socket can be: by its key, with a cure.
    with open(file, "w", encoding="ascii") as f:
        f.write("[usher]\ncontrol = unix:/etc/passwd/x\n")
    status, _, errors = usher("serve", "-c", file)
    assert status == 1 and (
        f"{file}:2: [usher] control: /etc/passwd/x.lock: Not a directory; "
        "usher makes it beside the socket, in a directory that it may write "
        "to") in errors, (status, errors)
    with open(file, "w", encoding="ascii") as f:
        f.write("[service a]\nlisten = unix:/tmp/a\nbuiltin = echo\n")
    assert usher("serve", "-t", "-c", file) == (
        0, f"{file}: 1 service, no mistake\n", "")
    assert not os.path.exists("/tmp/a")
    with open(file, "a", encoding="ascii") as f:
        f.write("workers = few\n")
    status, out, errors = usher("serve", "-t", "-c", file)
    assert status == 78 and f"{file}:4: [service a] workers" in errors, errors
assert usher("serve", "too", "much")[0] == 2
assert usher("serve", "--nonsense")[0] == 2

# Every door fails: 1. One of two: it is tried again while the other serves.
with socket.create_server(("127.0.0.1", 0)) as held:
    door = f"tcp:127.0.0.1:{held.getsockname()[1]}"
    with Daemon(CONF.replace("unix:@DIR@/hello", door)
                .split("[service cat]")[0], ready=False, status=1) as one:
        assert one.wait_exit() == 1
        assert "no door could be opened" in one.log, one.log
    with Daemon(CONF.replace("unix:@DIR@/hello", door), fds=False) as two:
        two.wait_state("hello", "degraded")
        with two.client("cat") as client:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
        assert two.log.count("is held by") == 1, two.log
        held.close()
        two.wait_state("hello", "running")
        with two.client("hello") as client:
            assert receive_all(client) == b"hello\n"

# No service is fine, and said.
with Daemon("") as none:
    none.wait_log("no service yet: add one to .*usher.ini and reload")

# SIGTERM: nobody new, those who are there finish. Then it has ended with 0.
with Daemon(CONF) as first:
    with first.client("cat") as client:
        client.sendall(b"1")
        assert client.recv(1) == b"1"
        first.signal(signal.SIGTERM)
        first.wait_log("SIGTERM: draining")
        def refused():
            try:
                connect(first.address("cat"), 2).close()
            except ConnectionRefusedError:
                return True
            return False
        wait_for(refused)
        assert not os.path.exists(f"{first.dir}/hello")
        client.sendall(b"2")
        assert client.recv(1) == b"2"
        assert not first.exited()
    assert first.wait_exit() == 0

# A second one does not wait; nor does one that never lets go.
with Daemon(CONF) as second:
    with second.client("cat") as client:
        client.sendall(b"1")
        assert client.recv(1) == b"1"
        second.signal(signal.SIGTERM)
        second.wait_log("SIGTERM: draining")
        second.signal(signal.SIGTERM)
        assert second.wait_exit(10) == 0
with Daemon("[usher]\nshutdown_timeout = 300ms\n" + CONF) as third:
    with third.client("cat") as client:
        client.sendall(b"1")
        assert client.recv(1) == b"1"
        third.signal(signal.SIGTERM)
        assert third.wait_exit(10) == 0

# 0 is off, for a process that takes its time as for the house.
SLOW = """
[service slow]
listen = unix:@DIR@/slow
stop_timeout = 0
exec = /bin/sh -c "trap 'sleep 0.3; echo tidy; exit' TERM; echo here; read x"
"""
with Daemon("[usher]\nshutdown_timeout = 0\n" + CONF + SLOW) as patient:
    with patient.client("cat") as client, patient.client("slow") as slow:
        client.sendall(b"1")
        assert client.recv(1) == b"1" and slow.recv(10) == b"here\n"
        pid, = patient.workers("slow")
        assert patient.run("kill", f"worker:{pid}").returncode == 0
        assert receive_all(slow) == b"tidy\n"
        patient.signal(signal.SIGTERM)
        patient.wait_log("SIGTERM: draining")
        client.sendall(b"2")
        assert client.recv(1) == b"2" and not patient.exited()
        wait_for(lambda: not os.path.exists(f"{patient.dir}/slow"))
        client.sendall(b"3")
        assert client.recv(1) == b"3" and not patient.exited()
    assert patient.wait_exit() == 0

# SIGHUP: what is new opens, what is gone closes, what stays is kept, with its
# connection; a wrong file changes nothing, and is told with its line.
with Daemon(CONF, fds=False) as reloaded:
    with reloaded.client("cat") as client:
        client.sendall(b"1")
        assert client.recv(1) == b"1"
        reloaded.write(CONF.replace("hello", "bye"))
        reloaded.signal(signal.SIGHUP)
        def bye():
            with reloaded.client("bye") as other:
                return receive_all(other) == b"bye\n"
        wait_for(bye)
        wait_for(lambda: not os.path.exists(f"{reloaded.dir}/hello"))
        reloaded.write(CONF.replace("hello", "bye")
                       .replace("exec = /bin/cat", "exe = /bin/cat"))
        reloaded.signal(signal.SIGHUP)
        reloaded.wait_log(r"usher.ini:\d+: \[service cat\] exe: unknown key; "
                          "did you mean exec")
        reloaded.wait_log("reload refused, everything goes on as before")
        assert bye()
        client.sendall(b"2")
        assert client.recv(1) == b"2"
    reloaded.read_notify()
    words = reloaded.notified
    for word in ("READY=1", "RELOADING=1"):
        assert word in words, words
    assert any(w.startswith("STATUS=2 services") for w in words), words
