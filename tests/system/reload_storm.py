"""A reload every tenth of a second under steady load on every handoff, while
services come, go and change, and every third file is wrong; every error of a
client counts."""
import os
import random
import socket
import threading
import time

from harness import CallError, Daemon, receive_all, wait_for

CONF = """
[defaults]
settle = 0
stop_timeout = 5s

[service pass]
listen = tcp:127.0.0.1:@PORT:pass@ %(option)s
handoff = pass
exec = /usr/bin/python3 @TESTS@/pass_worker.py hello
workers = %(workers)d
environment = VERSION=%(pass)d

[service own]
listen = unix:@DIR@/own
handoff = pass
pick = leastconn
reports = yes
exec = /usr/bin/python3 @TESTS@/pass_worker.py reports
workers = 2
environment = VERSION=%(own)d

[service spawn]
listen = unix:@DIR@/spawn
exec = /bin/sh -c 'echo hello'
max_connections = %(most)d
environment = VERSION=%(spawn)d

[service share]
listen = unix:@DIR@/share
handoff = share
exec = /usr/bin/python3 @TESTS@/share_worker.py late 0
ready = notify
workers = 2
environment = VERSION=%(share)d

[service job]
trigger = fifo:job
trigger = unix:@DIR@/job
exec = /bin/true
trigger_max = %(max)d
%(moving)s
"""
MOVING = """
[service moving%d]
listen = unix:@DIR@/moving
%s
"""
LIKE = ("exec = /bin/sh -c 'echo hello'",
        "handoff = pass\nexec = /usr/bin/python3 @TESTS@/pass_worker.py hello",
        "exec = /bin/sh -c 'echo hello'\nmax_per_source = 50")
GUEST = """
[service guest%d]
listen = unix:@DIR@/guest%d
handoff = pass
exec = /usr/bin/python3 @TESTS@/pass_worker.py hello
"""
WRONG = ("\nnonsense\n", "\n[service bad]\nlisten = unix:@DIR@/bad\n"
         "handoff = pass\nexec = /bin/false\n",
         "\n[service bad]\nlisten = unix:@DIR@/bad\nlisten = "
         "unix:/proc/no/door\nexec = /bin/cat\n")
CLIENTS = ("pass", "own", "spawn", "share", "moving0")


class Storm:
    def __init__(self, seconds, seed):
        self.end = time.monotonic() + seconds
        self.random = random.Random(seed)
        self.stop = threading.Event()
        self.wrong, self.served = [], dict.fromkeys(CLIENTS, 0)
        self.fired = self.reloads = self.refused = 0
        self.keys = {"pass": 0, "own": 0, "spawn": 0, "share": 0, "most": 50,
                     "workers": 2, "max": 2048, "option": ""}
        self.moving, self.guests = MOVING % (0, LIKE[0]), ""

    def load(self, usher, name, address):
        while not self.stop.is_set():
            try:
                with usher.client(address, timeout=30) as client:
                    client.settimeout(30)
                    data = receive_all(client)
            except OSError as error:
                self.wrong.append((name, repr(error)))
                continue
            if data:
                self.served[name] += 1
            else:
                self.wrong.append((name, "cut"))

    def fire(self, usher):
        fifo = os.open(f"{usher.dir}/spool/job", os.O_WRONLY)
        while not self.stop.is_set():
            try:
                os.write(fifo, b"x\n")
                with socket.socket(socket.AF_UNIX) as sock:
                    sock.settimeout(30)
                    sock.connect(f"{usher.dir}/job")
                    sock.sendall(b"y\0")
                    sock.recv(10)
            except OSError as error:
                self.wrong.append(("job", repr(error)))
            self.fired += 1
            self.stop.wait(0.02)
        os.close(fifo)

    def change(self):
        what = self.random.randrange(8)
        keys, pick = self.keys, self.random.choice
        if what < 4:
            keys[("pass", "own", "spawn", "share")[what]] += 1
        elif what == 4:
            keys["most"] = self.random.randrange(20, 60)
            keys["max"] = self.random.randrange(1000, 3000)
            keys["workers"] = self.random.randrange(1, 4)
        elif what == 5:
            keys["option"] = pick(("", "freebind=yes", "backlog=1000",
                                   "nodelay=yes sndbuf=64K"))
        elif what == 6:
            self.moving = MOVING % (self.random.randrange(3), pick(LIKE))
        else:
            n = self.random.randrange(3)
            self.guests = "".join(GUEST % (i, i) for i in range(n))

    def reload(self, usher, number):
        self.change()
        text = CONF % {**self.keys, "moving": self.moving + self.guests}
        bad = number % 3 == 2
        if bad:
            text += self.random.choice(WRONG)
        usher.write(text)
        try:
            usher.call("Reload")
            assert not bad, text
        except CallError as error:
            assert bad, error
            self.refused += 1
        self.reloads += 1

    def run(self):
        first = CONF % {**self.keys, "moving": self.moving}
        with Daemon(first) as usher:
            for name in CLIENTS:
                wait_for(lambda name=name: receive_all(usher.client(name)))
            addresses = {name: usher.expand(usher.address(name))
                         for name in CLIENTS}
            threads = [threading.Thread(target=self.load, args=(
                usher, *item)) for item in addresses.items()]
            threads.append(threading.Thread(target=self.fire, args=(usher,)))
            for thread in threads:
                thread.start()
            try:
                while time.monotonic() < self.end and not self.wrong:
                    began = time.monotonic()
                    self.reload(usher, self.reloads)
                    rest = 0.1 - (time.monotonic() - began)
                    if rest > 0:
                        time.sleep(rest)
                seen = dict(self.served)
                wait_for(lambda: self.wrong or all(
                    self.served[n] > seen[n] for n in CLIENTS))
            finally:
                self.stop.set()
                for thread in threads:
                    thread.join()
            print(self.reloads, "reloads", self.refused, "refused",
                  self.served, self.fired, "fired")
            assert not self.wrong, self.wrong[:5]
            assert self.reloads > 3 and self.refused
            wait_for(lambda: usher.service("job")["runs"] > 0)
            usher.write(first)      # the harness counts descriptors
            usher.call("Reload", wait=True)
            assert not [s for s in usher.call("Status")["services"]
                        if s["state"] == "degraded"]


def storm(seconds, seed):
    print("seed", seed)
    Storm(seconds, seed).run()
