"""A trigger runs a program, on all five kinds of endpoint; who asks for an
ACK gets it ended as the request was."""
import os
import socket

from harness import Daemon, receive_all, wait_for
from trigger_lib import lines, put

group = "core"
parallel = True

CONF = """
[service job]
trigger = fifo:job
trigger = unix:@DIR@/stream
trigger = unix-seqpacket:@DIR@/packet
trigger = unix-dgram:@DIR@/datagram
trigger = tcp:127.0.0.1:@PORT@
trigger_ack = yes
exec = /bin/sh -c 'echo "$USHER_TRIGGER $(cat)" >> @DIR@/ran'
"""

ENDS = [(b"\0", b"ACK\0"), (b"\n", b"ACK\n"), (b"\r\n", b"ACK\r\n"),
        (b"\n\0", b"ACK\n")]

with Daemon(CONF) as usher:
    ran = f"{usher.dir}/ran"
    fifo = f"{usher.dir}/spool/job"
    expected = []

    def did(word):
        expected.append(f"{word} {word}")
        wait_for(lambda: lines(ran) == expected,
                 what=f"a run for {word}, {expected}")

    # A FIFO: any number of requests, each with its end.
    put(fifo, b"one\n")
    did("one")
    put(fifo, b"two\0")
    did("two")
    # Of several that are there at once each is one.
    put(fifo, b"three\r\nfour\n\0five\0")
    expected += [f"{word} {word}" for word in ("three", "four")]
    did("five")
    # Without an end, as Postfix's own clients write: the close is one. Two,
    # one after the other was served, are two.
    put(fifo, b"six")
    did("six")
    put(fifo, b"six")
    did("six")
    # An empty line is a trigger too.
    put(fifo, b"\n")
    did("")

    # Connections.
    for kind, address in enumerate((f"unix:{usher.dir}/stream",
                                    f"unix-seqpacket:{usher.dir}/packet",
                                    f"tcp:127.0.0.1:{usher.port()}")):
        for number, (end, ack) in enumerate(ENDS):
            word = f"go-{kind}-{number}"
            with usher.client(address) as client:
                client.sendall(word.encode() + end)
                assert receive_all(client) == ack
            did(word)
        with usher.client(address) as client:
            client.sendall(f"end-{kind}".encode())
            client.shutdown(socket.SHUT_WR)
            assert receive_all(client) == b"ACK"
        did(f"end-{kind}")
        # An end without one byte is none, and an empty message is one.
        with usher.client(address) as client:
            client.shutdown(socket.SHUT_WR)
            assert receive_all(client) == b""
        with usher.client(address) as client:
            client.sendall(b"\0")
            assert receive_all(client) == b"ACK\0"
        did("")
        # A word in pieces, where pieces are no packets.
        if kind != 1:
            with usher.client(address) as client:
                for byte in b"piece\n":
                    client.sendall(bytes([byte]))
                assert receive_all(client) == b"ACK\n"
            did("piece")

    # Datagrams, from who has no name and from who has one.
    door = f"{usher.dir}/datagram"
    with usher.client(f"unix-dgram:{door}") as client:
        client.send(b"unbound")
        did("unbound")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.settimeout(20)
        client.bind(f"{usher.dir}/mine")
        client.connect(door)
        for end, ack in ENDS + [(b"", b"ACK")]:
            client.send(b"bound" + end)
            assert client.recv(100) == ack
            did("bound")
    # A sender that is bound, but gone when the ACK is sent.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.bind(f"{usher.dir}/gone")
        os.unlink(f"{usher.dir}/gone")
        client.sendto(b"gone", door)
        did("gone")
    assert "error" not in usher.log, usher.log
