"""Connections that usher hands on: builtin, pass, share, spawn.

Each table compares subjects that serve the same client in turn: A B C, A B C
...; a ratio is that of one round, and its median is what counts.
"""
import subprocess

import calls
import subjects
from lab import Failed, median
from report import Table, spread

HEAD = ["subject", "CPU us each", "beside the limit", "a second", "p50 us",
        "p99 us", "errors"]


def rounds(lab, contenders, measure):
    """{name: [result, ...]}: every contender once in each round. One that
    can't be measured is left out, its reason under `failed`."""
    results, failed = {}, {}
    for _ in range(lab.pairs):
        for name, start in contenders.items():
            if name in failed:
                continue
            try:
                with start() as subject:
                    results.setdefault(name, []).append(measure(subject))
            except (Failed, OSError, subprocess.SubprocessError) as e:
                failed[name] = str(e)
                results.pop(name, None)
    return results, failed


def ratios(results, name, base, key="each"):
    """Round by round, NAME's beside BASE's."""
    if name not in results or base not in results:
        return None
    return [a[key] / b[key] for a, b in zip(results[name], results[base])
            if b[key]]


def ratio(results, name, base, key="each"):
    values = ratios(results, name, base, key)
    return median(values) if values else None


def fill(table, results, failed, base):
    for name, runs in results.items():
        beside = ratios(results, name, base)
        table.row(name, spread([r["each"] for r in runs]),
                  spread(beside) if beside else "",
                  median([r["rate"] for r in runs]),
                  median([r["p50"] for r in runs]),
                  median([r["p99"] for r in runs]),
                  sum(r["errors"] for r in runs))
    table.missing += [f"{name}: {why}" for name, why in failed.items()]


def errors(results, name):
    runs = results.get(name)
    return sum(r["errors"] for r in runs) if runs else None


def no_errors(table, results, name, text):
    table.bar(f"{text}: failed connections", errors(results, name), 0,
              exact=True)


def connections(lab, address, *args, n=16, pin=0):
    def measure(subject):
        subject = getattr(subject, "subject", subject)
        return lab.load("load-conn", "-a", address, "-n", n, *args,
                        subject=subject, pin=pin)
    return measure


def limit(lab, address, name, *args, pin=0):
    """Starts the limit NAME at ADDRESS."""
    def start():
        argv = [lab.program(name), "-a", address, *args]
        return lab.run(argv, address, pin=pin)
    return start


def ours(lab, address, pin=0, env=None, **keys):
    """Starts usher with one service at ADDRESS."""
    def start():
        return subjects.usher(lab, subjects.service("b", listen=address, **keys),
                              pin=pin, env=env)
    return start


KINDS = [("tcp", "TCP"), ("unix", "Unix")]


def itself(lab):
    """The passing limit beside itself: what this machine can tell apart."""
    tables = []
    for kind, word in KINDS:
        a = lab.address(kind)
        start = limit(lab, a, "limit-pass", lab.program("worker-pass"))
        t = Table(f"the limit beside itself, {word}, one CPU", HEAD)
        got, failed = rounds(lab, {"limit": start, "the same": start},
                             connections(lab, a))
        fill(t, got, failed, "limit")
        tables.append(t)
    return tables


def accept(lab):
    """A connection that usher answers itself."""
    tables = []
    for kind, word in KINDS:
        a = lab.address(kind)
        t = Table(f"accept: builtin, {word}, one CPU", HEAD,
                  "`agent` writes an answer and closes, as the limit does; "
                  "`echo` is sent three bytes and gives them back.")
        got, failed = rounds(lab, {
            "limit: accept, write, close": limit(lab, a, "limit-accept"),
            "usher, builtin = agent": ours(lab, a, builtin="agent b"),
        }, connections(lab, a, "-x", 0))
        fill(t, got, failed, "limit: accept, write, close")
        got, failed = rounds(lab, {
            "limit: accept, read, write, close":
                limit(lab, a, "limit-accept", "-e"),
            "usher, builtin = echo": ours(lab, a, builtin="echo"),
        }, connections(lab, a, "-s"))
        fill(t, got, failed, "limit: accept, read, write, close")
        no_errors(t, got, "usher, builtin = echo", f"accept, {word}")
        tables.append(t)
    return tables


def limiter(lab):
    """How near `rate` is to what is configured, when many more would come."""
    t = Table("rate: what is let in, TCP, one CPU",
              ["configured", "let in a second", "beside what is configured",
               "errors"], "16 clients connect without pause; burst= is what "
              "10 ms bring: timers have milliseconds.")
    for n in (100, 1000, 5000):
        a = lab.address("tcp")
        start = ours(lab, a, builtin="agent b", rate=f"{n}/s burst={n // 100}")
        got, failed = rounds(lab, {"usher": start},
                             connections(lab, a, "-x", 0))
        t.missing += [f"{n}/s: {why}" for why in failed.values()]
        beside = [r["rate"] / n for r in got.get("usher", [])]
        if beside:
            t.row(f"{n}/s", median([r["rate"] for r in got["usher"]]),
                  spread(beside), errors(got, "usher"))
        t.bar(f"rate, {n}/s: away from what is configured",
              abs(median(beside) - 1) if beside else None, 0.02)
        no_errors(t, got, "usher", f"rate, {n}/s")
    return [t]


def hand_off(lab, batch):
    """pass, one at a time or many in a message."""
    tables = []
    what = "batch" if batch > 1 else "queue"
    keys = {"exec": lab.program("worker-pass"), "handoff": "pass",
            "workers": 2}
    # As deep as a burst, like the limit's, which is the kernel's own. By
    # default only as many wait as there are workers: see the second row.
    keys["queue_limit"] = 64
    if batch > 1:
        keys["batch"] = batch
    for kind, word in KINDS:
        a = lab.address(kind)
        base = "limit: accept and pass" + \
            (f", {batch} a message" if batch > 1 else "")
        args = ["-b", batch] if batch > 1 else []
        worker = lab.program("worker-pass")
        contenders = {
            base: limit(lab, a, "limit-pass", *args, worker),
            "usher": ours(lab, a, **keys),
        }
        if batch == 1:
            contenders["usher, queue_limit = 2"] = \
                ours(lab, a, **dict(keys, queue_limit=2))
            contenders["limit, with words"] = \
                limit(lab, a, "limit-pass", "-w", worker)
        t = Table(f"pass: {what}, {word}, one CPU", HEAD,
                  "Two workers, queue_limit = 64; usher tells them who the "
                  "client is, the limit says nothing unless `with words`.")
        got, failed = rounds(lab, contenders, connections(lab, a))
        fill(t, got, failed, base)
        t.bar(f"pass, {what}, {word}: CPU beside the limit",
              ratio(got, "usher", base), 1.05)
        if batch == 1:
            t.bar(f"pass, {what}, {word}: CPU beside the limit with words",
                  ratio(got, "usher", "limit, with words"), 1.05)
            t.bar(f"pass, {what}, {word}: p99 beside the limit",
                  ratio(got, "usher", base, "p99"), 1.2)
        no_errors(t, got, "usher", f"pass, {what}, {word}")
        tables.append(t)
    return tables


def paced(lab):
    """How long a hand-off takes when there is time: what a picture tells."""
    tables = []
    worker = lab.program("worker-pass")
    for kind, word in KINDS:
        a = lab.address(kind)
        accept_, pass_ = "limit: accept", "limit: accept and pass"
        got, failed = rounds(lab, {
            accept_: limit(lab, a, "limit-accept", pin=None),
            pass_: limit(lab, a, "limit-pass", worker, pin=None),
            "usher": ours(lab, a, pin=None, exec=worker, handoff="pass",
                          workers=2),
        }, connections(lab, a, "-R", 2000, n=64, pin=None))
        t = Table(f"pass at 2,000 a second, {word}", HEAD,
                  "All processors; 2,000 connections are begun each second, "
                  "whatever becomes of those before.")
        fill(t, got, failed, pass_)
        no_errors(t, got, "usher", f"pass at 2,000 a second, {word}")
        t.latency = {name: merged([r["hist"] for r in runs])
                     for name, runs in got.items()}
        tables.append(t)
    return tables


def merged(histograms):
    """One histogram of several."""
    total = {}
    for h in histograms:
        for us, n in h:
            total[us] = total.get(us, 0) + n
    return sorted(total.items())


def queue(lab):
    return hand_off(lab, 1)


def batch(lab):
    return hand_off(lab, 16)


# --- spawn ------------------------------------------------------------------

GIB = 1 << 30


def balloon(lab):
    return {"LD_PRELOAD": str(lab.program("balloon")), "BALLOON": str(GIB),
            "ASAN_OPTIONS": "verify_asan_link_order=0"}


def spawn_table(lab, title, argv, n=4, extra=(), beside=None, x=3):
    a = lab.address("tcp")
    base = "limit: vfork and exec"
    contenders = {
        base: limit(lab, a, "limit-spawn", *argv),
        "usher": ours(lab, a, exec=" ".join(map(str, argv))),
        "usher of 1 GiB": ours(lab, a, env=balloon(lab),
                               exec=" ".join(map(str, argv))),
        **{name: make(a) for name, make in extra},
    }
    made = subjects.tcpserver(lab, a, argv)
    if made:
        contenders["tcpserver"] = lambda: subjects.peer(lab, made, a)
    t = Table(title, HEAD)
    got, failed = rounds(lab, contenders,
                         connections(lab, a, "-x", x, n=n))
    fill(t, got, failed, base)
    for name in ("usher", "usher of 1 GiB"):
        t.bar(f"{title}: {name} beside the vfork limit",
              ratio(got, name, base), 1.1)
    # Of /bin/true's cost the C library's start is too much: the limit itself
    # is above this bar.
    if made and beside:
        t.bar(f"{title}: usher beside tcpserver",
              ratio(got, "usher", "tcpserver"), beside)
    no_errors(t, got, "usher", title)
    if not made:
        t.missing.append("tcpserver: not installed")
    return t


def spawn(lab):
    tiny = [lab.program("tiny")]
    big = [("limit: fork", lambda a: limit(
        lab, a, "limit-spawn", "-f", *tiny))]
    if not lab.quick:
        big.append(("limit: fork, 1 GiB", lambda a: limit(
            lab, a, "limit-spawn", "-f", "-m", "1G", *tiny)))
    return [spawn_table(lab, "spawn, no C library", tiny, extra=big,
                        beside=0.6),
            spawn_table(lab, "spawn, /bin/true", ["/bin/true"], x=0)]


# --- share ------------------------------------------------------------------

def share(lab):
    a = lab.address("unix")
    base = "limit: two share the listener"
    keys = {"handoff": "share", "exec": lab.program("limit-accept"),
            "workers": 2}
    t = Table("share, Unix, one CPU", HEAD)
    got, failed = rounds(lab, {
        base: limit(lab, a, "limit-accept", "-n", 2),
        "usher": ours(lab, a, **keys),
    }, connections(lab, a))
    fill(t, got, failed, base)
    no_errors(t, got, "usher", "share")
    try:
        with ours(lab, a, **keys)() as u:
            result, by_name = calls.during(
                u.pid, lambda: lab.load("load-conn", "-a", a))
            count = sum(by_name.values())
        t.note = (f"strace saw {count} system calls of usher's while "
                  f"{result['units']} connections were served.")
        t.bar("share: system calls of usher's for a thousand connections",
              count / result["units"] * 1000, 1)
    except (Failed, OSError) as e:
        t.missing.append(f"system calls: {e}")
        t.bar("share: system calls of usher's for a thousand connections",
              None, 1)
    return [t]
