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
import resource
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


# What the full doses need beside CONF: workers that are no bottleneck, bytes
# that are checked, requests of which half is there, runs that are waited for.
DOSES = """
[service fast]
listen = tcp:127.0.0.1:@PORT:fast@ backlog=4096
handoff = pass
workers = 2
exec = @BUILD@/tests/bench/worker-pass

[service many]
listen = tcp:127.0.0.1:@PORT:many@ backlog=4096
handoff = share
workers = 2
exec = @BUILD@/tests/bench/limit-accept

[service checked]
listen = tcp:127.0.0.1:@PORT:checked@ backlog=4096
relay = tcp:127.0.0.1:@PORT:up@

[service spliced]
listen = unix:@DIR@/spliced backlog=4096
relay = unix:@DIR@/up
survive = crash

[service half]
trigger = fifo:half
trigger = unix:@DIR@/half backlog=4096
trigger = tcp:127.0.0.1:@PORT:half@ backlog=4096
workers = 3
exec = /bin/sh -c 'echo "$USHER_TRIGGER" >> @DIR@/ran'

[service held]
trigger = fifo:held
workers = 64
exec = /bin/sleep 2
"""


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

    def timed(self, began, number=1):
        if not self.done:
            print("ready", flush=True)
        self.done += number
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


def in_threads(one, number):
    threads = [threading.Thread(target=one, args=(i,)) for i in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


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


def program(tally, command, ended):
    """COMMAND goes on until its standard input ends, says ready, then what it
    did; ENDED takes its last line."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True,
                          stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        if process.stdout.readline() == "ready\n":
            print("ready", flush=True)
            tally.over.wait()
        out, err = process.communicate()
    if process.returncode:
        tally.error(err.strip() or f"status {process.returncode}")
        tally.tell()
        return
    tally.tell(**ended(out.splitlines()[-1]))


def flood(command, address, rate, *more):
    """RATE connections a second (0: as many as can be) by load-conn.c: each
    must be answered and ended in order."""
    tally = Tally()

    def ended(line):
        told = json.loads(line)
        tally.done = told["units"]
        tally.worst = told["max"] / 1e6
        if told["errors"]:
            tally.errors += [told["error"]] * told["errors"]
        return {"per_second": round(told["units"] / told["seconds"])}

    program(tally, [command, "-i", "-a", address, "-x", "0", "-R", rate,
                    *more], ended)


def checked(command, door, upstream, number, rate):
    """NUMBER connections through a relay, both ways at once, each byte
    checked, RATE bytes a second in all, by torture.c."""
    tally = Tally()

    def ended(line):
        tally.done = int(line.split()[2])
        return {"connections": int(line.split()[0])}

    program(tally, [command, "-c", door, "-l", upstream, "-n", number, "-R",
                    rate], ended)


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
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
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


def waiters(binary, control, number, service="job"):
    """NUMBER at once of `usher trigger SERVICE N --wait`: each must end with
    0."""
    tally = Tally()

    def one(start):
        n = start
        while not tally.over.is_set():
            began = time.monotonic()
            done = subprocess.run(
                [binary, "trigger", "--control", control, "--wait", service,
                 f"w{n}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                text=True, check=False)
            if done.returncode:
                tally.error(f"w{n}: status {done.returncode}: "
                            f"{done.stderr.strip()}")
            tally.timed(began)
            n += 1000

    in_threads(one, int(number))
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


def monitors(control, number):
    """NUMBER at once that watch by `more`. Told of usher's end by an end of
    file, each comes again at once, and must be let in."""
    from harness import Control
    tally = Tally()

    def watch(watcher):
        watcher.sock.settimeout(0.2)
        while not tally.over.is_set():
            try:
                if not watcher.sock.recv(65536):
                    return
            except TimeoutError:
                pass
            except ConnectionResetError:    # what we had sent was not read
                return

    def one(_):
        while not tally.over.is_set():
            began = time.monotonic()
            try:
                with Control(control, PATIENCE) as watcher:
                    watcher.send("Monitor", more=True)
                    event = watcher.reply()["event"]
                    if event["event"] != "begin":
                        tally.error(f"{event}")
                    tally.timed(began)
                    watch(watcher)
            except (OSError, ValueError, KeyError) as error:
                tally.error(f"monitor: {error!r}")

    in_threads(one, int(number))
    tally.tell()


def halves(fifo, unix, tcp, number="10"):
    """Requests of which half is sent, at FIFO, Unix and TCP; the rest comes
    after a while, in which usher may have changed. Numbered like triggers."""
    tally = Tally()
    # Kept: a writer's close ends whatever half request the FIFO has. One is
    # there at a time, since all writers' bytes are one stream.
    pipe = os.open(fifo, os.O_WRONLY)

    def begun(n):
        if n % int(number) == 0:
            out = open(os.dup(pipe), "wb", buffering=0)
        else:
            with dial(f"unix:{unix}" if n % 2 else tcp) as sock:
                out = sock.makefile("wb", 0)
        out.write(b"h")
        return out

    while not tally.over.is_set():
        began = time.monotonic()
        held = []
        try:
            for n in range(tally.done, tally.done + int(number)):
                held.append((begun(n), n))
            tally.over.wait(0.7)
            for out, n in held:
                with out:
                    out.write(b"%d\n" % n)
        except OSError as error:
            tally.error(f"half {held[-1:]}: {error}")
        tally.timed(began, len(held))
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


KINDS = {f.__name__: f for f in (connections, flood, checked, streams, idle,
                                 waiters, triggers, monitors, halves, paths)}


# --- what a test holds -------------------------------------------------------------

class Load:
    """Processes that load USHER until end()."""

    def __init__(self, usher, connections=(), streams=None, idle=None,
                 waiters=0, triggers=False, paths=(), pause=0.0,
                 begin=True, doses=None):
        from harness import BINARY, popen
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
            self.start("waiters", "waiters", BINARY, usher.control, waiters)
        if triggers:
            self.start("triggers", "triggers", f"{usher.dir}/spool/job",
                       f"{usher.dir}/job")
        if paths:
            self.start("paths", "paths", *paths)
        if doses:
            self.doses(**doses)
        if begin:
            self.begin()

    def doses(self, floods=None, checked=None, monitors=0, halves=0, held=0,
              options=()):
        """The loads that DOSES is for. FLOODS has a service's rate, CHECKED
        a relay's connections, HELD is how many wait for runs of 2 s."""
        from harness import BINARY
        usher = self.usher
        programs = usher.expand("@BUILD@/tests")
        for name, rate in (floods or {}).items():
            self.start(f"flood {name}", "flood", f"{programs}/bench/load-conn",
                       usher.address(name), rate, *options)
        for name, number in (checked or {}).items():
            door = usher.address(name)
            up = f"unix:{usher.dir}/up"
            if door.startswith("tcp:"):
                door = f"tcp:{usher.ports[name]}"
                up = f"tcp:{usher.ports['up']}"
            self.start(f"checked {name}", "checked", f"{programs}/torture",
                       door, up, number, 20_000_000)
        if monitors:
            self.start("monitors", "monitors", usher.control, monitors)
        if halves:
            self.start("halves", "halves", f"{usher.dir}/spool/half",
                       f"{usher.dir}/half",
                       f"tcp:127.0.0.1:{usher.ports['half']}", halves)
        if held:
            self.start("held", "waiters", BINARY, usher.control, held, "held")

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
        for name, letter in (("triggers", "t"), ("halves", "h")):
            if name in told:
                problems += self.unrun(name, letter, told[name]["done"])
        assert not problems, "\n".join(problems)
        return told

    def unrun(self, name, letter, total):
        """Every numbered trigger has had its run, in a while."""
        from harness import wait_for

        def ran():
            with open(f"{self.usher.dir}/ran", encoding="ascii") as file:
                return [line.rstrip("\n") for line in file]

        def missing():
            return {f"{letter}{n}" for n in range(total)} - set(ran())

        try:
            wait_for(lambda: not missing(), PATIENCE)
        except AssertionError:
            left = sorted(missing())
            torn = [line for line in ran() if line[:1] not in "htw" or
                    not line[1:].isdecimal()]
            return [f"{len(left)} of {total} {name} never ran: {left[:5]}; "
                    f"torn ones: {torn[:5]}"]
        return []


def summary(told):
    def one(name, t):
        text = f"{name} {t['done']} (worst {t['worst'] * 1000:.0f} ms"
        if "per_second" in t:
            text += f", {t['per_second']} a second"
        return text + ")"

    return ", ".join(one(name, t) for name, t in told.items())


if __name__ == "__main__":
    KINDS[sys.argv[1]](*sys.argv[2:])
