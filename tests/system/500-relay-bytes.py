"""A relay carries each byte once, in order, both ways, whatever the sockets
are, however they are read, and ends as its ends do."""
import socket
import subprocess

from harness import BUILD, Daemon, wait_for

timeout = 300

CONF = """
[service tcp-tcp]
listen = tcp:127.0.0.1:@PORT:tcp-tcp@
relay = tcp:127.0.0.1:@PORT:up@

[service unix-unix]
listen = unix:@DIR@/unix-unix
relay = unix:@DIR@/up

[service tcp-unix]
listen = tcp:127.0.0.1:@PORT:tcp-unix@
relay = unix:@DIR@/up

[service unix-tcp]
listen = unix:@DIR@/unix-tcp
relay = tcp:127.0.0.1:@PORT:up@

[service spliced]
listen = unix:@DIR@/spliced
relay = unix:@DIR@/up
survive = crash

[service tcp-two]
listen = tcp:127.0.0.1:@PORT:tcp-two@
relay = tcp:127.0.0.1:@PORT:up@
relay_workers = 2

[service echo]
listen = tcp:127.0.0.1:@PORT:echo@
builtin = echo
"""


def torture(usher, door, upstream, *args):
    """Everything is checked by tests/torture.c, which says what it does."""
    doors = {"t": f"tcp:{usher.port(door)}", "u": f"unix:{usher.dir}/{door}"}
    ups = {"tcp": f"tcp:{usher.port('up')}", "unix": f"unix:{usher.dir}/up"}
    subprocess.run([f"{BUILD}/tests/torture", "-l", ups[upstream], "-c",
                    doors["u" if door.startswith(("unix", "spl")) else "t"],
                    *map(str, args)], check=True, timeout=200)


class Listener:
    def __init__(self, port):
        self.sock = socket.create_server(("127.0.0.1", port))

    def __enter__(self):
        return self

    def accept(self):
        sock, _ = self.sock.accept()
        sock.settimeout(20)
        return sock

    def __exit__(self, *_):
        self.sock.close()


with Daemon(CONF, fds=False) as usher:
    # 500 MB in all, in chunks of random size.
    for n in 1, 64, 1000:
        torture(usher, "tcp-tcp", "tcp", "-n", n, "-b", 100_000_000)
    for door, upstream in (("unix-unix", "unix"), ("tcp-unix", "unix"),
                           ("unix-tcp", "tcp"), ("spliced", "unix"),
                           ("tcp-two", "tcp")):
        torture(usher, door, upstream, "-n", 64, "-b", 40_000_000)
    torture(usher, "echo", "tcp", "-e", "-n", 64, "-b", 40_000_000)

    # Slow readers, and connections that are reset half-way.
    for seed in 1, 2, 3:
        for door, upstream in (("tcp-tcp", "tcp"), ("unix-unix", "unix"),
                               ("spliced", "unix"), ("tcp-two", "tcp")):
            torture(usher, door, upstream, "-n", 200, "-b", 10_000_000,
                    "-r", 30, "-w", 30, "-s", seed)

    # What its two processes see is counted in the daemon.
    before = usher.service("tcp-two")
    with Listener(usher.port("up")) as upstream, \
            usher.client("tcp-two") as client:
        server = upstream.accept()
        client.sendall(b"four")
        server.sendall(b"eleven byte")
        assert client.recv(100) == b"eleven byte" and server.recv(100)
        server.close()
    wait_for(lambda: usher.service("tcp-two")["inside"] == 0)
    after = usher.service("tcp-two")
    assert after["bytes_up"] - before["bytes_up"] == 4, (before, after)
    assert after["bytes_down"] - before["bytes_down"] == 11, (before, after)
    assert after["served"] - before["served"] == 1, (before, after)

    with usher.client("tcp-two") as client:     # nobody listens there
        assert client.recv(100) == b""
    wait_for(lambda: usher.service("tcp-two")["inside"] == 0)
    assert usher.service("tcp-two")["refused"].get("backend", 0) - \
        before["refused"].get("backend", 0) == 1
    assert usher.service("tcp-two")["served"] == after["served"]

    # A roll drains the two processes: who is connected stays so.
    with Listener(usher.port("up")) as upstream, \
            usher.client("tcp-two") as client:
        server = upstream.accept()
        client.sendall(b"before")
        assert server.recv(100) == b"before"
        old = set(usher.workers("tcp-two"))
        usher.run("roll", "tcp-two", "--wait")
        new = {worker["pid"] for worker in usher.service("tcp-two")["workers"]
               if worker["state"] != "stopping"}
        assert len(old) == 2 and len(new) == 2 and not old & new, (old, new)
        server.sendall(b"after")
        assert client.recv(100) == b"after"
        server.close()
    wait_for(lambda: len(usher.workers("tcp-two")) == 2)
    wait_for(lambda: usher.service("tcp-two")["inside"] == 0)

    # The harness demands that no descriptor and no process is left.
