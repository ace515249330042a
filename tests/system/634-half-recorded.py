"""Usher is killed right where something was written down and is not looked at
yet, or is there and not written down: the next one looks, and waits for
nothing that never comes."""
import os
import socket
import time

from harness import Control, Daemon, connect, receive_all, skip, wait_for
from continuity_lib import is_debug, next_ready
from trigger_lib import lines

timeout = 120

CONF = """
[usher]
keeper = respawn

[service spawn]
listen = unix:@DIR@/spawn
exec = /bin/cat

[service echo]
listen = tcp:127.0.0.1:@PORT:echo@
builtin = echo

[service relay]
listen = tcp:127.0.0.1:@PORT:relay@
relay = tcp:127.0.0.1:@PORT:up@
send_proxy = v1

[service up]
listen = tcp:127.0.0.1:@PORT:up@
exec = /bin/cat

[service own]
listen = unix:@DIR@/own
handoff = pass
reports = yes
pick = leastconn
workers = 1
settle = 0
respawn_delay = 10ms
exec = /usr/bin/python3 @TESTS@/pass_worker.py reports

[service hello]
listen = unix:@DIR@/hello
handoff = pass
workers = 2
settle = 0
exec = /usr/bin/python3 @TESTS@/pass_worker.py hello

[service packets]
listen = unix-seqpacket:@DIR@/packets
handoff = pass
workers = 1
settle = 0
exec = /usr/bin/python3 @TESTS@/pass_worker.py hello

[service job]
trigger = unix:@DIR@/job
trigger_ack = yes
exec = /bin/sh -c 'echo "$USHER_TRIGGER" >> @DIR@/ran;
  while [ "$USHER_TRIGGER" != word -a ! -e @DIR@/word ]; do sleep 0.02; done'
"""


def served(usher):
    """A worker with a queue of its own answers."""
    with usher.client("own") as client:
        return client.recv(100)


def control(usher):
    with Control(usher.control) as client:
        next_ready(usher)
        client.send("Status")
        assert client.reply()["crashes"] == 1


def spawned(usher):
    with usher.client("spawn") as client:
        next_ready(usher)
        client.sendall(b"it lives\n")
        assert client.recv(100) == b"it lives\n"
        wait_for(lambda: usher.service("spawn")["inside"] == 1)
    wait_for(lambda: usher.service("spawn")["inside"] == 0, what="its end")


def echoed(usher):
    with usher.client("echo") as client:
        client.sendall(b"hello\n")
        assert client.recv(100) == b"hello\n"


def relayed(usher):
    with usher.client("relay") as client:
        client.sendall(b"hello\n")
        client.shutdown(socket.SHUT_WR)
        text = receive_all(client)
        assert text.startswith(b"PROXY TCP4 127.0.0.1 ") and \
            text.endswith(b"\r\nhello\n"), text


def triggered(usher):
    with connect(f"unix:{usher.dir}/job") as client:
        client.sendall(b"word\n")
        assert receive_all(client) == b"ACK\n"
    wait_for(lambda: lines(f"{usher.dir}/ran") == ["word"])


def handed(usher):
    """Unread or in a worker's hands: it is not handed on again."""
    with usher.client("hello") as client:
        next_ready(usher)
        text = receive_all(client)
        assert text.count(b"\n") == 1, text


def packets(usher):
    """Accepted and not handed on: asking how it stands tells it nothing."""
    with usher.client("packets") as client:
        assert client.recv(100).endswith(b"\n")


def runs(usher):
    """The run that was being started is known, and not begun again."""
    with connect(f"unix:{usher.dir}/job") as client:
        client.sendall(b"stay\n")
        assert receive_all(client) == b"ACK\n"
    next_ready(usher)
    wait_for(lambda: lines(f"{usher.dir}/ran") == ["stay"])
    assert len(usher.service("job")["workers"]) == 1
    assert lines(f"{usher.dir}/ran") == ["stay"]
    with open(f"{usher.dir}/word", "wb"):
        pass


def worker(usher):
    """The one that was being started is looked after: killed, it is
    replaced."""
    for again in range(2):
        assert served(usher)
        pid = usher.service("own")["workers"][0]["pid"]
        os.kill(pid, 9)
        if again == 0:
            next_ready(usher)
        wait_for(lambda: [w["pid"] for w in usher.service("own")["workers"]]
                 not in ([], [pid]))
    assert served(usher)


def one(mark, story):
    began = time.monotonic()
    with Daemon(CONF, fds=False, env={"USHER_CRASH_AT": mark}) as usher:
        story(usher)
        wait_for(lambda: usher.call("Status")["crashes"] == 1)
        usher.read_notify()
        usher.ended = None
        before = time.monotonic()
        assert usher.stop() == 0
        assert time.monotonic() - before < 8, "it waited for something"
    print(f"{mark}: {time.monotonic() - began:.1f} s", flush=True)


if not is_debug():
    skip("fault points are in builds with --enable-debug")
for each in (("client-recorded", control), ("spawn-recorded", spawned),
             ("relay-recorded", echoed), ("relay-recorded", relayed),
             ("trigger-accepted", triggered), ("pass-handed", handed),
             ("pass-hand", packets),
             ("worker-recorded@5", worker), ("child-started@5", worker),
             ("child-started@5", spawned), ("spawn-started", spawned),
             ("spawn-start", spawned), ("child-started@5", runs)):
    one(*each)
