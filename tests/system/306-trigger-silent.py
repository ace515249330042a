"""1,000 silent clients on a trigger endpoint delay nobody, and cost nothing
once their time is over; a client that leaves in the middle is nobody's
trouble."""
import os
import resource
import socket
import time

from harness import Daemon, descriptors, receive_all, wait_for
from trigger_lib import lines

group = "core"

CONF = """
[service job]
trigger = tcp:127.0.0.1:@PORT@ backlog=1024
trigger = unix:@DIR@/stream
trigger = unix-dgram:@DIR@/datagram
trigger_timeout = 3s
trigger_ack = yes
exec = /bin/sh -c 'echo "$(cat)" >> @DIR@/ran'
"""

CLIENTS = 1000

soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))

with Daemon(CONF) as usher:
    ran = f"{usher.dir}/ran"
    before = len(descriptors(usher.pid))
    silent = [usher.client(f"tcp:127.0.0.1:{usher.port()}")
              for _ in range(CLIENTS)]
    wait_for(lambda: len(descriptors(usher.pid)) >= before + CLIENTS)
    best = 9.0
    for number in range(10):
        began = time.monotonic()
        with usher.client(f"tcp:127.0.0.1:{usher.port()}") as client:
            client.sendall(b"beside\0")
            assert receive_all(client) == b"ACK\0"
        best = min(best, time.monotonic() - began)
    # A loaded machine delays some, not all.
    assert best < 0.05, f"{best:.3f} s at best"
    wait_for(lambda: "beside" in lines(ran))
    # Their time is over: all are closed, none was a trigger.
    for client in silent:
        assert client.recv(1) == b""
        client.close()
    wait_for(lambda: len(descriptors(usher.pid)) <= before)
    assert set(lines(ran)) == {"beside"}

    # Who leaves before the ACK, or resets, or was never bound.
    for _ in range(50):
        with usher.client(f"unix:{usher.dir}/stream") as client:
            client.sendall(b"left\0")
        with usher.client(f"tcp:127.0.0.1:{usher.port()}") as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                              b"\1\0\0\0\0\0\0\0")
            client.sendall(b"half")
        # A named sender that connects elsewhere (EISCONN for who answers it
        # on a connection), and whose queue is full.
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client, \
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            name = f"{usher.dir}/sender"
            client.bind(name)
            other.bind(f"{usher.dir}/elsewhere")
            client.sendto(b"named", f"{usher.dir}/datagram")
            client.connect(f"{usher.dir}/elsewhere")
            os.unlink(name)
            os.unlink(f"{usher.dir}/elsewhere")
        # One that never reads: its answers are not waited for.
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
            client.bind(name)
            for _ in range(20):
                client.sendto(b"deaf", f"{usher.dir}/datagram")
            os.unlink(name)
    with usher.client(f"unix:{usher.dir}/stream") as client:
        client.sendall(b"last\0")
        assert receive_all(client) == b"ACK\0"
    wait_for(lambda: lines(ran)[-1] == "last")
    assert {"left", "named", "deaf"} < set(lines(ran))
