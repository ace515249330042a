"""Bytes between two sockets: large streams, messages, connections, idle ones.

usher beside the limits (read and write, splice) and beside what others use.
The backend is started anew with each subject.
"""
import contextlib
import json
import subprocess

import subjects
from arrivals import fill, merged, no_errors, ratio, ratios, rounds
from lab import Failed, median
from report import Table, spread

LIMIT, SPLICE = "limit: read and write", "limit: splice"
HAPROXY, FORCED = "HAProxy", "HAProxy, forced splice"
NGINX, PROXYD, SOCAT = "nginx stream", "systemd-socket-proxyd", "socat"


def contenders(lab, mode, names, pin=0):
    """{name: start} of those relays that there are, and why others are not.
    Each start yields a subject whose `address` is the relay's."""
    makers = {
        HAPROXY: subjects.haproxy,
        FORCED: lambda *a: subjects.haproxy(*a, splice=True),
        NGINX: subjects.nginx, PROXYD: subjects.proxyd,
        SOCAT: subjects.socat,
    }

    @contextlib.contextmanager
    def start(name):
        a = lab.port()
        with lab.backend(mode, pin=pin) as b, contextlib.ExitStack() as stack:
            if name in (LIMIT, SPLICE):
                argv = [lab.program("limit-relay"), "-a", a, "-b", b,
                        *(["-s"] if name == SPLICE else [])]
                s = stack.enter_context(lab.run(argv, a, pin=pin))
            elif name == "usher":
                text = subjects.service("b", listen=a, relay=b)
                s = stack.enter_context(
                    subjects.usher(lab, text, pin=pin)).subject
            else:
                made = makers[name](lab, a, b)
                s = stack.enter_context(subjects.peer(lab, made, a, pin))
            s.address = a
            yield s

    starts, absent = {}, {}
    for name in names:
        if name in makers and not subjects.program(
                lab, {HAPROXY: "haproxy", FORCED: "haproxy", NGINX: "nginx",
                      PROXYD: "systemd-socket-proxyd", SOCAT: "socat"}[name]):
            absent[name] = "not installed"
        else:
            starts[name] = lambda name=name: start(name)
    return starts, absent


def best(results, names, key="each", least=False):
    """The best peer's name by its median of KEY, or None."""
    there = [n for n in names if n in results]
    if not there:
        return None
    def value(n):
        return median([r[key] for r in results[n]])
    return (max if least else min)(there, key=value)


def beside_best(table, text, results, peers, limit, key="each", least=False):
    """usher must be as good as whichever peer was best in this run."""
    name = best(results, peers, key, least)
    if not name:
        table.missing.append(f"{text}: no peer is installed")
        return
    table.bar(f"{text}, beside {name}", ratio(results, "usher", name, key),
              limit, least=least)


def per_gb(results):
    """CPU us a byte becomes CPU seconds a GB, which is a thousand times it."""
    for runs in results.values():
        for r in runs:
            r["each"] *= 1e3
            r["rate"] /= 1e9


def bulk(lab):
    tables = []
    names = [LIMIT, SPLICE, "usher", HAPROXY, FORCED, NGINX, PROXYD]
    modes = {"down": "source", "up": "sink", "both": "both"}
    streams = [1, 16] if lab.quick else [1, 16, 64]
    directions = ["down"] if lab.quick else list(modes)
    for n in streams:
        for d in directions:
            t = Table(f"relay: {n} large stream{'s' if n > 1 else ''}, {d}, "
                      "one CPU", ["subject", "CPU s a GB", "beside the limit",
                                  "GB/s", "errors"])
            starts, absent = contenders(lab, modes[d], names)
            got, failed = rounds(lab, starts, lambda s: lab.load(
                "load-bulk", "-a", s.address, "-n", n, "-d", d, subject=s,
                pin=0))
            per_gb(got)
            for name, runs in got.items():
                beside = ratios(got, name, LIMIT)
                t.row(name, spread([r["each"] for r in runs]),
                      spread(beside) if beside else "",
                      spread([r["rate"] for r in runs]),
                      sum(r["errors"] for r in runs))
            t.missing += [f"{k}: {v}" for k, v in {**failed, **absent}.items()]
            if n < 64:
                beside_best(t, f"relay, {n} stream, {d}: CPU a GB", got,
                            [FORCED, PROXYD, HAPROXY], 1.0)
            tables.append(t)
    return tables


HEAD = ["subject", "CPU us each", "beside the limit", "a second", "p50 us",
        "p99 us", "errors"]


def messages(lab):
    tables = []
    names = [LIMIT, "usher", HAPROXY, NGINX, PROXYD]
    for n in [1, 64] if lab.quick else [1, 64, 1000]:
        t = Table(f"relay: 64 bytes there and back, {n} "
                  f"connection{'s' if n > 1 else ''}, one CPU", HEAD)
        starts, absent = contenders(lab, "echo", names)
        got, failed = rounds(lab, starts, lambda s: lab.load(
            "load-ping", "-a", s.address, "-n", n, subject=s, pin=0))
        fill(t, got, {**failed, **absent}, LIMIT)
        text = f"relay, messages, {n} connections"
        t.bar(f"{text}: CPU beside the limit", ratio(got, "usher", LIMIT),
              1.05)
        beside_best(t, f"{text}: messages a second", got,
                    [HAPROXY, NGINX, PROXYD], 1.0, "rate", least=True)
        beside_best(t, f"{text}: p99", got, [HAPROXY, NGINX, PROXYD], 1.0,
                    "p99")
        no_errors(t, got, "usher", text)
        t.latency = {name: merged([r["hist"] for r in runs])
                     for name, runs in got.items()}
        tables.append(t)
    return tables


def rate(lab):
    names = [LIMIT, SPLICE, "usher", HAPROXY, FORCED, NGINX, PROXYD]
    if not lab.quick:
        names.append(SOCAT)
    t = Table("relay: connect, three bytes, close, one CPU", HEAD)
    starts, absent = contenders(lab, "three", names)
    got, failed = rounds(lab, starts, lambda s: lab.load(
        "load-conn", "-a", s.address, subject=s, pin=0))
    fill(t, got, {**failed, **absent}, LIMIT)
    t.bar("relay, connections: CPU beside the limit",
          ratio(got, "usher", LIMIT), 1.05)
    for name in (HAPROXY, NGINX):
        if name in got:
            t.bar(f"relay, connections: CPU beside {name}",
                  ratio(got, "usher", name), 1.0)
    no_errors(t, got, "usher", "relay, connections")
    return [t]


# --- idle connections -------------------------------------------------------

def memory(subject):
    """Bytes of the subject's own: anonymous and shared memory, each page
    counted once however many of its processes have it."""
    total = 0
    for pid in subject._pids():
        with contextlib.suppress(OSError):
            for line in open(f"/proc/{pid}/smaps_rollup"):
                if line.startswith(("Pss_Anon:", "Pss_Shmem:")):
                    total += int(line.split()[1]) * 1024
    return total


def pipes(subject):
    count = 0
    for pid in subject._pids():
        with contextlib.suppress(OSError):
            for fd in subjects.pathlib.Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    count += subjects.os.readlink(fd).startswith("pipe:")
    return count


@contextlib.contextmanager
def held(lab, address, n):
    """N connections that have each had one message and are idle now."""
    p = subprocess.Popen([lab.program("load-ping"), "-i", "-n", str(n), "-a",
                          address], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, text=True)
    try:
        line = p.stdout.readline()
        if not line or json.loads(line) != {"open": n, "errors": 0}:
            raise Failed(f"{n} idle connections: {line.strip()}")
        yield
    finally:
        p.stdin.close()
        p.stdout.close()
        p.kill()
        p.wait()


def idle(lab):
    # Who makes pipes with a connection holds six descriptors for each.
    n = min(2000 if lab.quick else 8000, lab.descriptors // 6 - 1100)
    t = Table(f"relay: {n} idle connections", ["subject", "own bytes each",
                                               "pipes"],
              "Own: anonymous and shared memory, before and after, divided; "
              "each connection has relayed one message.")
    names = [LIMIT, SPLICE, "usher", HAPROXY, NGINX, PROXYD]
    starts, absent = contenders(lab, "echo", names, pin=None)
    got = {}
    for name, start in starts.items():
        try:
            with start() as s:
                # The first thousand pay for what grows once.
                with held(lab, s.address, 1000):
                    before, tubes = memory(s), pipes(s)
                    with held(lab, s.address, n):
                        each = (memory(s) - before) / n
                        more = pipes(s) - tubes
            got[name] = each
            t.row(name, each, more)
            if name == "usher":
                t.bar("relay, idle: pipe ends held", more, 0, exact=True)
        except (Failed, OSError) as e:
            t.missing.append(f"{name}: {e}")
    t.missing += [f"{k}: {v}" for k, v in absent.items()]
    t.bar("relay, idle: bytes of usher's a connection", got.get("usher"), 512)
    return [t]
