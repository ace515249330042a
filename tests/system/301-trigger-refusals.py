"""What is too long, too slow, torn, or brings descriptors is refused and
counted, and what follows it is understood; nobody delays anybody."""
import os
import socket
import time

from harness import Daemon, receive_all, wait_for
from trigger_lib import lines, put

group = "core"
parallel = True

CONF = """
[usher]
log_level = debug

[service text]
trigger = fifo:text
trigger = unix:@DIR@/text
trigger = unix-seqpacket:@DIR@/packet
trigger = unix-dgram:@DIR@/datagram
trigger = tcp:127.0.0.1:@PORT@
trigger_ack = yes
trigger_max = 20
trigger_timeout = 500ms
exec = /bin/sh -c 'echo "$(cat)" >> @DIR@/ran'

[service binary]
trigger = fifo:binary
trigger = unix:@DIR@/frame
trigger = unix-seqpacket:@DIR@/frames
trigger_ack = yes
trigger_frame = size:8
trigger_timeout = 500ms
exec = /bin/sh -c 'od -An -tx1 >> @DIR@/frames-ran'
"""


def refused(usher, why, number):
    wait_for(lambda: usher.log.count(f"trigger refused: {why}") == number,
             what=f"{number} refused for {why}")


with Daemon(CONF) as usher:
    ran = f"{usher.dir}/ran"
    fifo = f"{usher.dir}/spool/text"
    tcp = f"tcp:127.0.0.1:{usher.port()}"

    # Too long, in a FIFO: what follows is understood again.
    put(fifo, b"x" * 21 + b"\nnext\n")
    wait_for(lambda: lines(ran) == ["next"])
    refused(usher, "long", 1)
    # So long that no end is in sight for some reads.
    writer = os.open(fifo, os.O_WRONLY)
    for _ in range(40):
        os.write(writer, b"y" * 4096)
    os.write(writer, b"\nafter\0")
    os.close(writer)
    wait_for(lambda: lines(ran) == ["next", "after"])
    refused(usher, "long", 2)
    # Just not too long.
    put(fifo, b"z" * 20 + b"\r\n")
    wait_for(lambda: lines(ran)[2:] == ["z" * 20])

    # On connections and datagrams.
    number = 2
    for address in (f"unix:{usher.dir}/text", tcp,
                    f"unix-seqpacket:{usher.dir}/packet"):
        with usher.client(address) as client:
            client.sendall(b"x" * 21 + b"\n")
            try:
                assert receive_all(client) == b""
            except ConnectionResetError:
                pass
        number += 1
        refused(usher, "long", number)
    with usher.client(f"unix-dgram:{usher.dir}/datagram") as client:
        client.send(b"x" * 2000)
        refused(usher, "long", number + 1)

    # Slow: half a request is refused, silence is none; who stands beside
    # them is served at once.
    slow = usher.client(tcp)
    slow.sendall(b"half")
    silent = usher.client(tcp)
    before = time.monotonic()
    with usher.client(tcp) as client:
        client.sendall(b"beside\0")
        assert receive_all(client) == b"ACK\0"
    wait_for(lambda: lines(ran)[3:] == ["beside"])
    assert receive_all(slow) == b"" and receive_all(silent) == b""
    slow.close()
    silent.close()
    refused(usher, "slow", 1)
    # An unfinished request in a FIFO that stays open counts after a while.
    writer = os.open(fifo, os.O_WRONLY)
    os.write(writer, b"unended")
    wait_for(lambda: lines(ran)[4:] == ["unended"])
    os.write(writer, b"go\n")
    wait_for(lambda: lines(ran)[5:] == ["go"])
    os.close(writer)

    # Binary: N bytes, whatever they are.
    frames = f"{usher.dir}/frames-ran"
    word = bytes([0, 10, 13, 0, 255, 0xc1, 1, 0xc1])
    shown = " 00 0a 0d 00 ff c1 01 c1"
    count = 0
    for address in (f"unix:{usher.dir}/frame",
                    f"unix-seqpacket:{usher.dir}/frames"):
        with usher.client(address) as client:
            client.sendall(word)
            assert receive_all(client) == b"ACK"
        count += 1
        wait_for(lambda: lines(frames) == [shown] * count)
    with usher.client(f"unix:{usher.dir}/frame") as client:
        for byte in word:
            client.sendall(bytes([byte]))
        assert receive_all(client) == b"ACK"
    wait_for(lambda: lines(frames) == [shown] * 3)
    put(f"{usher.dir}/spool/binary", word)
    wait_for(lambda: lines(frames) == [shown] * 4)
    # Torn: the stream ends, or the FIFO's writer leaves, inside a frame.
    with usher.client(f"unix:{usher.dir}/frame") as client:
        client.sendall(word[:5])
        client.shutdown(socket.SHUT_WR)
        assert receive_all(client) == b""
    refused(usher, "torn", 1)
    put(f"{usher.dir}/spool/binary", word[:3])
    refused(usher, "torn", 2)
    put(f"{usher.dir}/spool/binary", word)
    wait_for(lambda: lines(frames) == [shown] * 5)

    # Descriptors that come along are closed, the trigger is taken.
    for address in (f"unix:{usher.dir}/text",
                    f"unix-seqpacket:{usher.dir}/packet"):
        with usher.client(address) as client, open("/dev/null", "rb") as null:
            socket.send_fds(client, [b"fds\n"], [null.fileno()] * 200)
            assert receive_all(client) == b"ACK\n"
        wait_for(lambda: lines(ran)[-1] == "fds")
        with open(ran, "a", encoding="utf-8") as file:
            file.write("-\n")
    with usher.client(f"unix-dgram:{usher.dir}/datagram") as client, \
            open("/dev/null", "rb") as null:
        socket.send_fds(client, [b"fds"], [null.fileno()] * 200)
        wait_for(lambda: lines(ran)[-1] == "fds")
    refused(usher, "descriptors", 200)
