"""A worker that floods its status channel with wild, foreign and torn
messages, one that ignores SIGTERM, one that floods its log: counted, nobody
else waits for them, and who comes to his senses is understood again."""
import os
import threading
import time

from harness import Daemon, connect, receive_all, wait_for

timeout = 120

# What a callback may take at most, ten times over for a loaded machine, and
# what the machine itself needs (measured before).
WORST = 1.0

CONF = """
[service quiet]
listen = unix:@DIR@/quiet
builtin = echo

[service flood]
listen = unix:@DIR@/flood
exec = /usr/bin/python3 @DIR@/flood.py
protocol = postfix
workers = 1
settle = 0
"""

DEAF = """
[service deaf]
listen = unix:@DIR@/deaf
exec = /bin/sh -c 'trap "" TERM; while :; do echo still here; done'
protocol = postfix
workers = 4
settle = 0
drain_timeout = 300ms
stop_timeout = 1500ms
"""

FLOOD = """
import os, select, socket, struct, sys
here = os.path.dirname(os.path.abspath(__file__))
pid, generation = os.getpid(), int(os.environ["GENERATION"], 8)

def status(*numbers):
    os.write(5, struct.pack("iIi", *numbers))

while not os.path.exists(here + "/sense"):
    for i in range(50):
        status(pid, generation + 1, 1)      # another generation
        status(1, generation, 0)            # somebody else
        status(pid, generation, 77)         # what is that?
        status(-i, i, i)
        os.write(5, b"x" * (i % 12))        # torn
os.write(5, b"yyyyy")
door = socket.socket(fileno=6)
door.setblocking(False)
while True:
    for fd in select.select([door, 5], [], [])[0]:
        if fd == 5:
            sys.exit(0)
        try:
            client = door.accept()[0]
        except BlockingIOError:
            continue
        client.setblocking(True)
        status(pid, generation, 0)
        client.sendall(b"220\\n")
        client.recv(10)
        client.close()
        status(pid, generation, 1)
"""


class Probe(threading.Thread):
    """How long a client of an idle service waits at the worst."""

    def __init__(self, address):
        super().__init__()
        self.address = address
        self.worst = 0.0
        self.count = 0
        self.stop = threading.Event()

    def run(self):
        while not self.stop.is_set():
            began = time.monotonic()
            with connect(self.address) as client:
                client.sendall(b"x")
                assert client.recv(1) == b"x"
            self.worst = max(self.worst, time.monotonic() - began)
            self.count += 1
            time.sleep(0.002)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        wait_for(lambda: self.count > 20, what="twenty probes")
        self.stop.set()
        self.join()
        assert self.worst < WORST, f"a client waited {self.worst:.3f} s"


usher = Daemon(CONF, fds=False)
with open(f"{usher.dir}/flood.py", "w", encoding="ascii") as file:
    file.write(FLOOD)
with usher:
    address = usher.expand("unix:@DIR@/quiet")
    with Probe(address):
        wait_for(lambda: usher.service("flood")["gossip"] > 20000, 60)
    worker = usher.workers("flood")
    assert len(worker) == 1

    # It comes to its senses.
    open(f"{usher.dir}/sense", "w", encoding="ascii").close()
    for _ in range(3):
        with usher.client("flood") as client:
            assert client.recv(10) == b"220\n"
            wait_for(lambda: usher.service("flood")["busy"] == 1)
            client.sendall(b"x")
            assert receive_all(client) == b""
        wait_for(lambda: usher.service("flood")["busy"] == 0)
    assert usher.workers("flood") == worker
    assert not usher.call("Status")["degraded"]

    # Told to go, it goes by none of the ways but the last.
    usher.write(CONF + DEAF)
    usher.call("Reload")
    deaf = wait_for(lambda: len(usher.workers("deaf")) == 4
                    and usher.workers("deaf"))
    with Probe(address):
        usher.write(CONF)
        usher.call("Reload")
        wait_for(lambda: not any(os.path.exists(f"/proc/{pid}")
                                 for pid in deaf))
