"""Sockets that others gave and still have: made blocking, or lingering over
what nobody reads, they never make usher wait."""
import os
import socket
import struct

from harness import Daemon, wait_for

parallel = True
timeout = 120

CONF = """
[service discard]
listen = unix-pass:@DIR@/discard
builtin = discard

[service echo]
listen = unix-pass:@DIR@/echo
builtin = echo

[service header]
listen = unix-pass:@DIR@/header
builtin = echo
accept_proxy = unix

[service denied]
listen = unix-pass:@DIR@/denied
builtin = discard
deny = 127.0.0.0/8

[service job]
trigger = unix:@DIR@/job
exec = /bin/true
"""


def lives():
    """Whoever waits does not answer."""
    assert usher.call("Status", timeout=10)["services"]


def give(path, fd, text=b"x"):
    carrier = socket.socket(socket.AF_UNIX)
    carrier.connect(path)
    socket.send_fds(carrier, [text], [fd])
    return carrier


def arrived(name, n=1):
    service = usher.call("Status", service=name)["services"][0]
    return service["arrivals"] + sum(service["refused"].values()) >= n


def passed(name):
    """Our end; and theirs, which is made blocking when usher has it."""
    ours, theirs = socket.socketpair()
    with give(f"{usher.dir}/{name}", theirs.fileno()):
        wait_for(lambda: arrived(name))
    wait_for(lambda: not os.get_blocking(theirs.fileno()))
    theirs.setblocking(True)
    return ours, theirs


def fill(sock):
    sock.setblocking(False)
    try:
        while True:
            sock.send(b"x" * 65536)
    except BlockingIOError:
        pass


def lingering():
    """A socket whose close waits 20 s for a peer that reads nothing."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        peer = socket.create_connection(door.getsockname())
        sock, _ = door.accept()
    fill(sock)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                    struct.pack("ii", 1, 20))
    return sock, peer


with Daemon(CONF) as usher:
    ours, theirs = passed("discard")
    ours.sendall(b"hello")
    lives()
    ours.close()
    theirs.close()

    ours, theirs = passed("header")
    ours.sendall(b"PROX")
    lives()
    ours.close()
    theirs.close()

    ours, theirs = passed("echo")
    fill(ours)              # and nobody reads what comes back
    lives()
    ours.close()
    theirs.close()

    # Ours is closed while it is on its way, so theirs is the last.
    for name, text in (("job", b"x\0"), ("control", b"status\0"),
                       ("denied", b"x"), ("discard", b"x")):
        sock, peer = lingering()
        carrier = give(f"{usher.dir}/{name}", sock.fileno(), text)
        sock.close()
        lives()
        if name == "discard":
            peer.shutdown(socket.SHUT_WR)
            wait_for(lambda: usher.call("Status", service="discard")
                     ["services"][0]["inside"] == 0)
            lives()
        carrier.close()
        peer.close()
