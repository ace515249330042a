"""Triggers to workers that are there already (handoff = pass), each one word
MESSAGE; who may not trigger is refused."""
from harness import Daemon, receive_all, wait_for
from trigger_lib import lines, put

group = "core"
parallel = True

CONF = """
[service job]
trigger = fifo:job
trigger = unix:@DIR@/stream
trigger = tcp:127.0.0.1:@PORT@
handoff = pass
workers = 2
settle = 100ms
exec = /usr/bin/python3 @DIR@/worker.py

[service frames]
trigger = fifo:frames
trigger_frame = size:3
handoff = pass
settle = 100ms
exec = /usr/bin/python3 @DIR@/worker.py

[service denied]
trigger = tcp:127.0.0.1:@PORT:denied@
trigger = unix:@DIR@/denied
trigger = unix-dgram:@DIR@/denied-datagram
trigger_ack = yes
allow = 192.0.2.0/24
allow = user:nobody
exec = /bin/sh -c 'echo denied >> @DIR@/ran'
"""

WORKER = """
import os, socket
door = socket.socket(fileno=int(os.environ["USHER_FD"]))
while True:
    data, fds, _, _ = socket.recv_fds(door, 65536, 1)
    if not data:
        break
    words = [word for word in data.decode().split("\\0")
             if word.startswith("MESSAGE") or word in ("trigger", "connection")]
    with open(os.path.dirname(os.path.abspath(__file__)) + "/ran", "a") as ran:
        ran.write(" ".join(words) + "\\n")
"""

usher = Daemon(CONF)
with open(f"{usher.dir}/worker.py", "w", encoding="utf-8") as file:
    file.write(WORKER)
with usher:
    ran = f"{usher.dir}/ran"
    put(f"{usher.dir}/spool/job", b"one\n")
    wait_for(lambda: lines(ran) == ["trigger MESSAGE=one"])
    with usher.client(f"unix:{usher.dir}/stream") as client:
        client.sendall(b"two\0")
        assert receive_all(client) == b""
    wait_for(lambda: lines(ran)[1:] == ["trigger MESSAGE=two"])
    put(f"{usher.dir}/spool/frames", b"\0\xff\n")
    wait_for(lambda: lines(ran)[2:] == ["trigger MESSAGE_HEX=00ff0a"])
    words = [f"m{i}" for i in range(200)]
    put(f"{usher.dir}/spool/job", "\n".join(words).encode() + b"\n")
    wait_for(lambda: len(lines(ran)) == 203)
    assert sorted(lines(ran)[3:]) == sorted(f"trigger MESSAGE={word}"
                                            for word in words)

    for address in (f"tcp:127.0.0.1:{usher.port('denied')}",
                    f"unix:{usher.dir}/denied"):
        with usher.client(address) as client:
            try:
                client.sendall(b"go\0")
                assert receive_all(client) == b""
            except (ConnectionResetError, BrokenPipeError):
                pass
    with usher.client(f"unix-dgram:{usher.dir}/denied-datagram") as client:
        client.send(b"go")
    put(f"{usher.dir}/spool/job", b"last\n")
    wait_for(lambda: lines(ran)[-1] == "trigger MESSAGE=last")
    assert "denied" not in lines(ran)
