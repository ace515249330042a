"""What Postfix's own master gets wrong, usher does not: a port in use or a
bad file at SIGHUP ends nothing, a service that goes cuts no session, a worker
that ignores SIGTERM stops nobody, what stands at a path is not removed."""
import os
import shutil
import signal
import socket
import subprocess

from harness import TOP, Daemon, connect, receive_all, skip, wait_for

parallel = True

ONE = """
[service greet]
listen = tcp:127.0.0.1:@PORT:greet@
exec = @DIR@/postfix-worker
protocol = postfix
workers = 0-9
settle = 0
"""
TWO = """
[service stays]
listen = unix:@DIR@/stays
exec = @DIR@/postfix-worker
protocol = postfix
workers = 0-9
settle = 0
"""

if not shutil.which(os.environ.get("CC", "cc")):
    skip("no C compiler")


def talk(client):
    client.sendall(b"hello\r\n")
    return receive_all(client)


def begin(usher, name):
    client = connect(usher.address(name))
    assert client.recv(100).startswith(b"220 worker ")
    return client


daemon = Daemon(ONE + TWO, fds=False)
subprocess.run(["cc", "-o", os.path.join(daemon.dir, "postfix-worker"),
                os.path.join(TOP, "doc", "examples", "postfix-worker.c")],
               check=True)

with daemon as usher:
    def reload_with(conf):
        usher.write(conf)
        before = usher.log.count("\n")
        usher.signal(signal.SIGHUP)
        wait_for(lambda: usher.log.count("\n") > before)

    # A bad line at SIGHUP.
    session = begin(usher, "stays")
    reload_with(ONE + TWO + "\nnonsense\n")
    assert talk(begin(usher, "greet")) == b"hello\r\n"

    # A port in use, and a file where a socket should be.
    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    with open(os.path.join(usher.dir, "precious"), "w",
              encoding="ascii") as file:
        file.write("text")
    for door in (f"tcp:127.0.0.1:{port}", "unix:@DIR@/precious"):
        reload_with(ONE + TWO + f"""
[service new]
listen = {door}
exec = @DIR@/postfix-worker
protocol = postfix
""")
        assert not usher.exited()
        assert talk(begin(usher, "greet")) == b"hello\r\n"
    with open(os.path.join(usher.dir, "precious"), encoding="ascii") as file:
        assert file.read() == "text"
    taken.close()

    # A service goes: its door closes, its session finishes.
    going = begin(usher, "greet")
    door = usher.address("greet")
    usher.write(TWO)
    usher.call("Reload")

    def closed():
        try:
            connect(door, 5).close()
        except ConnectionRefusedError:
            return True
        return False
    # Postfix's workers hold the door themselves while one is busy; nobody
    # idle is left behind it.
    assert talk(going) == b"hello\r\n"
    wait_for(closed)
    assert talk(session) == b"hello\r\n"

    # A worker that ignores all it may is no burden to the others.
    usher.write(TWO.replace("settle = 0", "settle = 0\nstop_timeout = 500ms\n"
                            "drain_timeout = 500ms") + """
[service deaf]
listen = unix:@DIR@/deaf
exec = /bin/sh -c 'trap "" TERM; while :; do sleep 1; done'
protocol = postfix
workers = 1
stop_timeout = 500ms
drain_timeout = 500ms
""")
    usher.call("Reload")
    deaf = wait_for(lambda: usher.workers("deaf"))
    usher.write(TWO)
    usher.call("Reload")
    assert talk(begin(usher, "stays")) == b"hello\r\n"
    wait_for(lambda: not os.path.exists(f"/proc/{deaf[0]}"))
