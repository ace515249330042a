"""usher trigger: all kinds of endpoint, and an error that names the stage."""
import os
import socket
import threading
import time

from harness import Daemon, free_port, wait_for
from trigger_lib import lines

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
exec = /bin/sh -c 'echo "$(cat)" >> @DIR@/ran'
"""


def serve(kind, reply, name):
    """A peer of somebody else's: what it got, once it has answered."""
    door = socket.socket(socket.AF_UNIX, kind)
    door.bind(name)
    door.settimeout(20)
    if kind != socket.SOCK_DGRAM:
        door.listen(1)
    got = []

    def work():
        if kind == socket.SOCK_DGRAM:
            data, peer = door.recvfrom(100)
            got.append((data, peer))
            if reply is not None:
                door.sendto(reply, peer)
            return
        client, _ = door.accept()
        with client:
            got.append(client.recv(100))
            if reply is None:
                client.settimeout(20)
                client.recv(100)
            else:
                client.sendall(reply)

    thread = threading.Thread(target=work)
    thread.start()
    return door, thread, got


with Daemon(CONF) as usher:
    ran = f"{usher.dir}/ran"
    doors = [f"unix:{usher.dir}/stream", f"unix-seqpacket:{usher.dir}/packet",
             f"unix-dgram:{usher.dir}/datagram",
             f"tcp:127.0.0.1:{usher.port()}"]
    expected = []
    for number, door in enumerate(doors):
        for words in ((), ("--ack",)):
            expected.append(f"m{number}{len(words)}")
            usher.run("trigger", door, expected[-1], *words)
            wait_for(lambda: lines(ran) == expected)
    expected.append("fifo")
    usher.run("trigger", f"fifo:{usher.dir}/spool/job", "fifo")
    wait_for(lambda: lines(ran) == expected)
    # No message is one.
    usher.run("trigger", doors[0], "--ack")
    expected.append("")
    wait_for(lambda: lines(ran) == expected)
    assert usher.run("trigger", "--json", "--ack", doors[0], "j").stdout == \
        '{"triggered":true,"ack":true}\n'

    # Peers that nobody here wrote: what they get, and ACK in any dress.
    for kind, word in ((socket.SOCK_STREAM, "unix"),
                       (socket.SOCK_SEQPACKET, "unix-seqpacket"),
                       (socket.SOCK_DGRAM, "unix-dgram")):
        for number, (reply, status, text) in enumerate((
                (b"ack\r\n", 0, ""), (b"Ack\0", 0, ""), (b"ACK", 0, ""),
                (b"NAK\n", 1, "answer: 0x4e414b0a is no ACK"),
                (b"NAK", 1, "answer: 'NAK' is no ACK"))):
            path = f"{usher.dir}/{word}-{number}"
            door, thread, got = serve(kind, reply, path)
            done = usher.run("trigger", f"{word}:{path}", "hi", "--ack",
                             status=status)
            assert text in done.stderr, done.stderr
            thread.join()
            door.close()
            if kind == socket.SOCK_DGRAM:
                assert got[0][0] == b"hi\0" and got[0][1]
            else:
                assert got == [b"hi\0"]

    # Each stage has its deadline, and the error says which it was.
    def fails(stage, *words):
        before = time.monotonic()
        done = usher.run("trigger", *words, status=1)
        assert f": {stage}: " in done.stderr, done.stderr
        assert done.stderr.count("\n") == 1
        return time.monotonic() - before, done.stderr

    # A backlog that is full.
    path = f"{usher.dir}/busy"
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(path)
        busy.listen(0)
        clients = []
        while True:
            client = socket.socket(socket.AF_UNIX)
            client.setblocking(False)
            clients.append(client)
            try:
                client.connect(path)
            except BlockingIOError:
                break
        took, text = fails("connect", f"unix:{path}", "x", "--timeout", "2s")
        assert 1.9 < took < 15, took
        assert "its queue is full" in text
        for client in clients:
            client.close()
    # A FIFO that nobody reads, that is full, that is none.
    path = f"{usher.dir}/pipe"
    os.mkfifo(path)
    took, text = fails("connect", f"fifo:{path}", "x")
    assert "nobody reads this FIFO" in text
    reader = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        while True:
            os.write(reader, b"x" * 4096)
    except BlockingIOError:
        pass
    took, text = fails("write", f"fifo:{path}", "x", "--timeout", "500ms")
    assert 0.4 < took < 15 and "does not read" in text
    os.close(reader)
    _, text = fails("connect", f"fifo:{ran}", "x")
    assert "is no FIFO" in text
    # A bare name: where it was looked for, and what finds it.
    _, text = fails("connect", "fifo:nowhere-at-all", "x")
    assert "/spool/" in text and "nowhere-at-all: No such file" in text, text
    assert "fifo:/DIR/nowhere-at-all" in text and "--control" in text, text
    _, text = fails("write", f"fifo:{usher.dir}/spool/job", "x" * 5000)
    # Nobody there, no answer, no ACK.
    fails("connect", f"tcp:127.0.0.1:{free_port()}", "x")
    fails("connect", f"unix:{usher.dir}/nothing", "x")
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
        took, text = fails("answer", f"tcp:127.0.0.1:{port}", "x", "--ack",
                           "--timeout", "500ms")
        assert 0.4 < took < 15
        # Without --ack patience that ends is no failure.
        usher.run("trigger", f"tcp:127.0.0.1:{port}", "x", "--timeout",
                  "300ms")
    # A datagram socket whose queue is full.
    path = f"{usher.dir}/deafgram"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler:
            filler.setblocking(False)
            try:
                while True:
                    filler.sendto(b"x", path)
            except BlockingIOError:
                pass
        took, text = fails("write", f"unix-dgram:{path}", "x", "--timeout",
                           "500ms")
        assert 0.4 < took < 15

    # What can't be meant is said before anything is done.
    for words in ((), (doors[0], "a", "b"), ("--nonsense", doors[0]),
                  (doors[0], "--timeout", "5"), ("udp:127.0.0.1:9", "x"),
                  (f"fifo:{usher.dir}/spool/job", "--ack"), ("nothing:x",)):
        usher.run("trigger", *words, status=2)
