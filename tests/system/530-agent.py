"""HAProxy's agent-check tells how a service does; a unix-pass door takes
descriptors; echo behind both."""
import os
import socket

from harness import Daemon, connect, receive_all, wait_for

parallel = True

CONF = """
[service pool]
listen = unix-pass:@DIR@/pass
listen = tcp:127.0.0.1:@PORT:pool@
builtin = echo
max_connections = 4

[service check]
listen = tcp:127.0.0.1:@PORT:check@
builtin = agent pool
"""


def check(say=b""):
    with usher.client("check") as client:
        if say:
            client.sendall(say)
        return receive_all(client).decode().strip()


def give(fd):
    with connect(f"unix:{usher.dir}/pass") as carrier:
        socket.send_fds(carrier, [b"x"], [fd])


with Daemon(CONF) as usher:
    assert check() == "ready up 100%"
    assert check(b"anything at all\n") == "ready up 100%"

    # Two ends of a connection: one is given, the other is the client.
    ours, theirs = socket.socketpair()
    ours.settimeout(20)
    give(theirs.fileno())
    theirs.close()
    ours.sendall(b"through a carrier")
    assert ours.recv(100) == b"through a carrier"
    assert check() == "ready up 75%"
    more = [connect(f"tcp:127.0.0.1:{usher.port('pool')}") for _ in range(3)]
    for client in more:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
    assert check() == "ready up 1%"
    for client in more:
        client.close()
    ours.close()
    wait_for(lambda: check() == "ready up 100%")

    # What is no arrival is closed and counted; a carrier may bring nothing.
    r, w = os.pipe()
    give(r)
    os.close(r)
    os.close(w)
    listening = socket.socket()
    listening.listen()
    give(listening.fileno())
    listening.close()
    connect(f"unix:{usher.dir}/pass").close()
    wait_for(lambda: usher.service("pool")["refused"] ==
             {"descriptors": 2})

    usher.call("Pause", service="pool")
    assert check() == "maint"
    usher.call("Resume", service="pool")
    assert check() == "ready up 100%"
    # The check fails first, the doors are open still.
    usher.call("Drain", service="pool", after="60s")
    assert check() == "drain"
    with connect(f"tcp:127.0.0.1:{usher.port('pool')}") as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
    usher.call("Resume", service="pool")
    assert check() == "ready up 100%"
