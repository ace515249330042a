"""An upstream whose packets are dropped: the next address is tried after
connect_timeout, it rests after max_fails, nobody else is delayed. A Unix
upstream whose backlog is full is waited for."""
import socket
import time

from harness import BINARY, Daemon, receive_all
from lab import Hosts

root = True
timeout = 120

CONF = """
[service shop]
listen = tcp:127.0.0.1:@PORT:shop@
relay = tcp:10.77.0.2:9
relay = unix:@DIR@/alive
connect_timeout = 1s
max_fails = 2
fail_timeout = 60s

[service lost]
listen = tcp:127.0.0.1:@PORT:lost@
relay = tcp:10.77.0.2:9
connect_timeout = 1s

[service echo]
listen = tcp:127.0.0.1:@PORT:echo@
builtin = echo

[service narrow]
listen = tcp:127.0.0.1:@PORT:narrow@
relay = unix:@DIR@/narrow
"""


def client(name):
    with net.inside("usher"):
        return socket.create_connection(("127.0.0.1", usher.port(name)), 20)


def greeted(sock):
    """Takes the connection at the living upstream and greets."""
    server, _ = alive.accept()
    server.sendall(b"hello")
    server.close()
    return receive_all(sock) == b"hello"


with Hosts("usher", "dead") as net:
    net.impair("dead", down=1)
    with Daemon(CONF, command=net.wrap(
            "usher", [BINARY, "serve", "-c", "@DIR@/usher.ini"])) as usher:
        alive = socket.socket(socket.AF_UNIX)
        alive.settimeout(20)
        alive.bind(f"{usher.dir}/alive")
        alive.listen()

        # Two that run into the dead one, and meanwhile nobody waits.
        begin = time.monotonic()
        first, second = client("shop"), client("shop")
        with client("echo") as other:
            for _ in range(100):
                other.sendall(b"x")
                assert other.recv(1) == b"x"
        assert time.monotonic() - begin < 0.9, "others were delayed"
        assert greeted(first) and greeted(second)
        assert 0.9 < time.monotonic() - begin < 10
        # From now on it rests.
        begin = time.monotonic()
        third = client("shop")
        assert greeted(third) and time.monotonic() - begin < 0.9
        # Where there is no other, the client is told by the end.
        with client("lost") as lost:
            try:
                assert receive_all(lost) == b""
            except ConnectionResetError:
                pass
        assert usher.service("lost")["refused"] == {"backend": 1}
        assert usher.service("shop")["refused"] == {}

        # A backlog of 0 takes one; the others come as it is emptied.
        narrow = socket.socket(socket.AF_UNIX)
        narrow.settimeout(20)
        narrow.bind(f"{usher.dir}/narrow")
        narrow.listen(0)
        many = [client("narrow") for _ in range(10)]
        for sock in many:
            sock.sendall(b"x")
        for _ in many:
            server, _ = narrow.accept()
            assert server.recv(1) == b"x"
            server.sendall(b"y")
            server.close()
        assert all(receive_all(sock) == b"y" for sock in many)
        for sock in (first, second, third, *many):
            sock.close()
