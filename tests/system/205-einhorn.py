"""Einhorn's protocol by a program of our own: sockets by number, and the ack
on its control socket, without which a worker is not ready."""
import json
import os

from harness import Daemon, connect, receive_all, wait_for

parallel = True
plain = True

CONF = """
[service app]
listen = tcp:127.0.0.1:@PORT:a@ name=a
listen = unix:@DIR@/b
exec = /usr/bin/python3 @TESTS@/einhorn_worker.py @DIR@/hold
protocol = einhorn
ready = status
settle = 0
start_timeout = 20s
"""


def ask(usher, address):
    with connect(usher.expand(address)) as client:
        return json.loads(receive_all(client))


def states_of(usher):
    """Each generation's state; one worker each."""
    return {w["generation"]: w["state"]
            for w in usher.service("app")["workers"]}


with Daemon(CONF, fds=False) as usher:
    first = ask(usher, "tcp:127.0.0.1:@PORT:a@")
    assert first["master"] == first["parent"] == usher.pid, first
    assert first["count"] == 2, first
    assert ask(usher, "unix:@DIR@/b")["pid"] == first["pid"]

    # A new worker that says nothing is not ready, and the old one stays.
    with open(os.path.join(usher.dir, "hold"), "w", encoding="utf-8"):
        pass
    usher.call("Roll", service="app")
    wait_for(lambda: len(usher.workers("app")) == 2)
    states = states_of(usher)
    assert states[2] == "starting", states

    # Foreign words on the ack's socket change nothing.
    sock = [n for n in os.listdir(usher.dir) if n.startswith("control.ack-")]
    assert len(sock) == 2, sock
    for words in (b"{}\n", b"\xff\n", b"x" * 5000,
                  b'{"command":"worker:ack","pid":1}\n',
                  b'{"command":"worker:nak","pid":%d}\n' % first["pid"]):
        for name in sock:
            with connect(f"unix:{usher.dir}/{name}") as client:
                try:
                    client.sendall(words)
                except OSError:
                    pass
    wait_for(lambda: usher.service("app")["gossip"] >= 5)
    states = states_of(usher)
    assert states[2] == "starting", states

    os.unlink(os.path.join(usher.dir, "hold"))
    wait_for(lambda: list(states_of(usher)) == [2])
    assert ask(usher, "unix:@DIR@/b")["generation"] == "2"
    sock = [n for n in os.listdir(usher.dir) if n.startswith("control.ack-")]
    assert len(sock) == 1, sock
    assert usher.stop() == 0
    sock = [n for n in os.listdir(usher.dir) if n.startswith("control.ack-")]
    assert not sock, sock
