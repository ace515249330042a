"""Load on a usher that is upgraded, killed and reloaded; every error counts.

    load = Load(usher, connections=["pass", "spawn"], streams={"relay": 10})
    ... disturb usher ...
    load.end()          asserts that there was none, returns what was done

Each kind is a process of its own (continuity_load.py KIND ...), so that the
one that disturbs is never in its way. It ends when its standard input does
and prints a line of JSON.
"""
import hashlib
import json
import os
import selectors
import socket
import subprocess
import sys
import threading
import time

PATIENCE = 10.0
CHUNK = 30000

# Any number of connections, to workers that share and through a relay.
DOORS = """
[service share]
listen = tcp:127.0.0.1:@PORT:share@ backlog=4096
handoff = share
workers = 2
settle = 50ms
exec = /usr/bin/python3 @TESTS@/share_worker.py systemd
protocol = systemd

[service echo]
listen = tcp:127.0.0.1:@PORT:echo@ backlog=4096
builtin = echo

[service relay]
listen = tcp:127.0.0.1:@PORT:relay@ backlog=4096
relay = tcp:127.0.0.1:@PORT:echo@
"""
CONF = """
[usher]
keeper = %(keeper)s
upgrade_timeout = 10s

[service pass]
listen = tcp:127.0.0.1:@PORT:pass@ backlog=4096
handoff = pass
workers = 2-4
queue_limit = 64
settle = 50ms
exec = /usr/bin/python3 @TESTS@/pass_worker.py plain

[service reports]
listen = unix:@DIR@/reports backlog=4096
handoff = pass
reports = yes
workers = 2
queue_limit = 64
exec = /usr/bin/python3 @TESTS@/pass_worker.py reports

[service spawn]
listen = tcp:127.0.0.1:@PORT:spawn@ backlog=4096
max_connections = 50
exec = /bin/echo spawned

[service job]
trigger = fifo:job
trigger = unix:@DIR@/job backlog=4096
workers = 3
exec = /bin/sh -c 'echo "$USHER_TRIGGER" >> @DIR@/ran'
""" + DOORS


# --- what runs in the processes --------------------------------------------------

class Tally:
    """What was done, what went wrong, how long the worst one took."""

    def __init__(self):
        self.done = 0
        self.errors = []
        self.worst = 0.0
        self.over = threading.Event()
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self):
        sys.stdin.read()
        self.over.set()

    def error(self, text):
        self.errors.append(f"{time.strftime('%H:%M:%S')} {text}")

    def timed(self, began):
        self.done += 1
        if self.done == 1:
            print("ready", flush=True)
        self.worst = max(self.worst, time.monotonic() - began)

    def tell(self, **more):
        print(json.dumps({"done": self.done, "errors": self.errors,
                          "worst": self.worst, **more}), flush=True)


def dial(address):
    """As harness.connect, without waiting for a full backlog's retries."""
    from harness import connect
    return connect(address, PATIENCE)


def receive(sock):
    data = b""
    while True:
        part = sock.recv(4096)
        if not part:
            return data
        data += part


def connections(address, pause="0"):
    """One after the other: each must be answered and ended in order."""
    tally = Tally()
    while not tally.over.wait(float(pause)):
        began = time.monotonic()
        try:
            with dial(address) as sock:
                if not receive(sock):
                    tally.error("no answer")
        except OSError as error:
            tally.error(f"{error} after "
                        f"{time.monotonic() - began:.3f} s")
        tally.timed(began)
    tally.tell()


class Stream:
    """A connection to an echo: what is sent must come back, all of it."""

    def __init__(self, address, number):
        self.number = number
        self.sent = hashlib.sha256()
        self.got = hashlib.sha256()
        self.nsent = self.ngot = 0
        self.block = os.urandom(CHUNK)
        self.shut = False
        self.sock = dial(address)
        self.sock.setblocking(False)

    def write(self, over):
        if over:
            self.sock.shutdown(socket.SHUT_WR)
            self.shut = True
            return
        if self.nsent - self.ngot > 8 * CHUNK:
            return
        n = self.sock.send(self.block[self.nsent % 1000:])
        start = self.nsent % 1000
        self.sent.update(self.block[start:start + n])
        self.nsent += n

    def read(self):
        """False at the end."""
        data = self.sock.recv(65536)
        self.got.update(data)
        self.ngot += len(data)
        return bool(data)

    def events(self):
        want = selectors.EVENT_READ
        if not self.shut and self.nsent - self.ngot <= 8 * CHUNK:
            want |= selectors.EVENT_WRITE
        return want


def streams(address, number, rate="2000000"):
    """NUMBER at once, RATE bytes a second in all."""
    tally = Tally()
    sel = selectors.DefaultSelector()
    every = []
    for i in range(int(number)):
        every.append(Stream(address, i))
        sel.register(every[-1].sock, selectors.EVENT_READ, every[-1])
    left = len(every)
    total = 0
    began = time.monotonic()
    print("ready", flush=True)
    deadline = None
    while left:
        over = tally.over.is_set()
        if over and deadline is None:
            deadline = time.monotonic() + PATIENCE
        if deadline and time.monotonic() > deadline:
            for s in every:
                if s.sock.fileno() >= 0:
                    tally.error(f"stream {s.number}: {s.ngot} of {s.nsent} "
                                f"bytes came back")
            break
        allowed = over or total < (time.monotonic() - began) * float(rate)
        for s in every:
            if s.sock.fileno() >= 0:
                want = s.events() if allowed else selectors.EVENT_READ
                if sel.get_key(s.sock).events != want:
                    sel.modify(s.sock, want, s)
        for key, mask in sel.select(0.02):
            s = key.data
            try:
                if mask & selectors.EVENT_WRITE and not s.shut:
                    before = s.nsent
                    s.write(over)
                    total += s.nsent - before
                if mask & selectors.EVENT_READ and not s.read():
                    if s.ngot != s.nsent or \
                            s.sent.digest() != s.got.digest():
                        tally.error(f"stream {s.number}: {s.ngot} of "
                                    f"{s.nsent} bytes, or others")
                    elif not s.shut:
                        tally.error(f"stream {s.number}: ended early")
                    raise EOFError
            except BlockingIOError:
                pass
            except (OSError, EOFError) as error:
                if isinstance(error, OSError):
                    tally.error(f"stream {s.number}: {error} at "
                                f"{s.ngot} of {s.nsent}")
                sel.unregister(s.sock)
                s.sock.close()
                left -= 1
    tally.done = total
    tally.tell()


def idle(address, number):
    """NUMBER connections to an echo that say nothing until the end."""
    tally = Tally()
    every = [dial(address) for _ in range(int(number))]
    print("ready", flush=True)
    tally.over.wait()
    for i, sock in enumerate(every):
        try:
            sock.sendall(b"%d\n" % i)
            answer = sock.recv(100)
            if answer != b"%d\n" % i:
                tally.error(f"idle {i}: {answer!r}")
        except OSError as error:
            tally.error(f"idle {i}: {error}")
        sock.close()
    tally.done = len(every)
    tally.tell()


def waiters(binary, control, number):
    """NUMBER at once of `usher trigger job N --wait`: each must end with 0."""
    tally = Tally()

    def one(start):
        n = start
        while not tally.over.is_set():
            began = time.monotonic()
            done = subprocess.run(
                [binary, "trigger", "--control", control, "--wait", "job",
                 f"w{n}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                text=True, check=False)
            if done.returncode:
                tally.error(f"w{n}: status {done.returncode}: "
                            f"{done.stderr.strip()}")
            tally.timed(began)
            n += 1000

    threads = [threading.Thread(target=one, args=(i,))
               for i in range(int(number))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tally.tell()


def triggers(fifo, unix, pause="0.02"):
    """Numbered ones, by turns at both; done says how many."""
    tally = Tally()
    while not tally.over.wait(float(pause)):
        began = time.monotonic()
        text = b"t%d" % tally.done
        try:
            if tally.done % 2:
                with open(fifo, "wb", buffering=0) as file:
                    file.write(text + b"\n")
            else:
                with dial(f"unix:{unix}") as sock:
                    sock.sendall(text[:2])
                    sock.sendall(text[2:] + b"\n")
                    sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            tally.error(f"trigger {tally.done}: {error}")
        tally.timed(began)
    tally.tell()


def paths(*names):
    """Each must be there whenever it is looked for."""
    tally = Tally()
    while not tally.over.wait(0.0005):
        for name in names:
            if not os.path.lexists(name):
                tally.error(f"{name} is missing")
        tally.timed(time.monotonic())
    tally.tell()


KINDS = {f.__name__: f for f in (connections, streams, idle, waiters,
                                 triggers, paths)}


# --- what a test holds -------------------------------------------------------------

class Load:
    """Processes that load USHER until end()."""

    def __init__(self, usher, connections=(), streams=None, idle=None,
                 waiters=0, triggers=False, paths=(), pause=0.0,
                 begin=True):
        from harness import popen
        self.usher = usher
        self.popen = popen
        self.parts = {}
        for name in connections:
            self.start(f"connections {name}", "connections",
                       usher.address(name), pause)
        for name, number in (streams or {}).items():
            self.start(f"streams {name}", "streams", usher.address(name),
                       number)
        for name, number in (idle or {}).items():
            self.start(f"idle {name}", "idle", usher.address(name), number)
        if waiters:
            from harness import BINARY
            self.start("waiters", "waiters", BINARY, usher.control, waiters)
        if triggers:
            self.start("triggers", "triggers", f"{usher.dir}/spool/job",
                       f"{usher.dir}/job")
        if paths:
            self.start("paths", "paths", *paths)
        if begin:
            self.begin()

    def start(self, name, *words):
        self.parts[name] = self.popen(
            [sys.executable, os.path.abspath(__file__),
             *(str(w) for w in words)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def begin(self):
        """Each part has done something."""
        for name, part in self.parts.items():
            assert part.stdout.readline() == "ready\n", name

    def end(self, allow=None):
        """Ends all; each part's tally by name. Errors are the caller's to
        allow: ALLOW maps a part's name to how many at most."""
        for part in self.parts.values():
            part.stdin.close()
        told = {}
        problems = []
        for name, part in self.parts.items():
            text = part.stdout.read().splitlines()[-1]
            part.stdout.close()
            part.wait(60)
            tally = told[name] = json.loads(text)
            most = (allow or {}).get(name, 0)
            if len(tally["errors"]) > most:
                problems.append(
                    f"{name}: {len(tally['errors'])} errors of "
                    f"{tally['done']}: {tally['errors'][:5]}")
            if not tally["done"]:
                problems.append(f"{name}: nothing was done")
        if "triggers" in told:
            problems += self.unrun(told["triggers"]["done"])
        assert not problems, "\n".join(problems)
        return told

    def unrun(self, total):
        """Every numbered trigger has had its run, in a while."""
        from harness import wait_for

        def missing():
            with open(f"{self.usher.dir}/ran", encoding="ascii") as file:
                seen = {line.strip() for line in file}
            return {f"t{n}" for n in range(total)} - seen

        try:
            wait_for(lambda: not missing(), PATIENCE)
        except AssertionError:
            left = sorted(missing())
            return [f"{len(left)} of {total} triggers never ran: {left[:5]}"]
        return []


def summary(told):
    return ", ".join(f"{name} {t['done']} (worst {t['worst'] * 1000:.0f} ms)"
                     for name, t in told.items())


if __name__ == "__main__":
    KINDS[sys.argv[1]](*sys.argv[2:])
