"""Ten thousand services, a reload of one of them, an upgrade's gap, and the
control socket beside hand-offs.

Gaps are seen from outside: a client that connects again and again, whose
longest wait is the time in which nobody attended the door.
"""
import contextlib
import json
import os
import socket
import subprocess
import threading
import time

import subjects
from arrivals import ours
from lab import Failed, median, wait_for
from relays import held, memory
from report import Table, spread


def probe_start(lab, address, seconds, *args):
    """A client in the background; ask probe_end for its result."""
    return subprocess.Popen(
        [lab.program("load-conn"), "-a", address, "-n", "1", "-x", "0", "-w",
         "0.1", "-t", str(seconds), *map(str, args)],
        stdout=subprocess.PIPE, text=True)


def probe_end(p):
    out = p.communicate(timeout=120)[0]
    if p.returncode:
        raise Failed("the probe failed")
    return json.loads(out)


def timed(argv):
    start = time.monotonic()
    r = subprocess.run(argv, capture_output=True, text=True)
    if r.returncode:
        raise Failed(f"{argv[1]}: {(r.stdout + r.stderr).strip()[:300]}")
    return time.monotonic() - start


def many(lab, n, changed=None):
    """N services on Unix sockets; CHANGED gets another limit."""
    where = lab.path("many")
    where.mkdir(exist_ok=True)
    parts = []
    for i in range(n):
        more = {"max_connections": 7} if i == changed else {}
        parts.append(subjects.service(
            f"s{i}", listen=f"unix:{where}/{i}", builtin="discard", **more))
    return "\n".join(parts)


def door(lab):
    """A service whose door the probe looks at, and its address."""
    a = lab.address("unix")
    return subjects.service("probed", listen=a, handoff="pass",
                            exec=lab.program("worker-pass")), a


def size(lab):
    return 1000 if lab.quick else 10000


@contextlib.contextmanager
def started(lab, text, seconds=60):
    """Starts usher and waits until it says READY, as to systemd: asking for
    its status would count the answer's memory and time too. Yields usher and
    the seconds that it took."""
    path = str(lab.dir / f"notify-{lab.count()}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(path)
        s.settimeout(seconds)
        begin = time.monotonic()
        with subjects.usher(lab, text, env={"NOTIFY_SOCKET": path},
                            settled=False) as u:
            while b"READY=1" not in s.recv(4096):
                pass
            took = time.monotonic() - begin
            s.close()
            yield u, took


def services(lab):
    n = size(lab)
    text = many(lab, n)
    scale = n / 10000
    checks, starts, each, asked = [], [], [], []
    with started(lab, subjects.service(
            "s0", listen=lab.address("unix"), builtin="discard")) as (u, _):
        small = memory(u.subject)
    for _ in range(lab.pairs):
        ini = lab.path("many.ini")
        ini.write_text(subjects.HEAD.format(dir=lab.dir, more="") + text)
        checks.append(timed([lab.usher, "check", "-c", ini]) * 1e3)
        with started(lab, text) as (u, took):
            starts.append(took * 1e3)
            each.append((memory(u.subject) - small) / n)
            begin = time.monotonic()
            u.call("Status", timeout=60)
            asked.append((time.monotonic() - begin) * 1e3)
    t = Table(f"{n} services", ["what", "measured"])
    t.row("usher check, ms", spread(checks))
    t.row("start until ready, ms", spread(starts))
    t.row("bytes of usher's each, keeper included", spread(each))
    t.row("status of all, ms", spread(asked))
    # Fewer take less, but a process starts all the same.
    t.bar(f"{n} services: check", median(checks), 20 + 80 * scale, unit=" ms")
    t.bar(f"{n} services: start", median(starts), 100 + 900 * scale,
          unit=" ms")
    t.bar(f"{n} services: each", median(each), 4096, unit=" bytes")
    return [t]


def gap(lab, address, act, seconds=4.0):
    """The longest wait of a client of ADDRESS, in ms, while ACT is done, and
    the longest without; what went wrong for it; ACT's own time."""
    quiet = probe_end(probe_start(lab, address, 1))
    p = probe_start(lab, address, seconds)
    time.sleep(0.5)
    begin = time.monotonic()
    act()
    took = (time.monotonic() - begin) * 1e3
    busy = probe_end(p)
    if took > (seconds - 0.6) * 1e3:
        raise Failed(f"took {took:.0f} ms, longer than the probe looked")
    return (busy["max"] / 1e3, quiet["max"] / 1e3,
            quiet["errors"] + busy["errors"], took)


def gap_table(title, gaps):
    t = Table(title, ["what", "measured"])
    t.row("longest wait of a client meanwhile, ms",
          spread([g[0] for g in gaps]))
    t.row("longest wait without, ms", spread([g[1] for g in gaps]))
    t.row("the command, ms", spread([g[3] for g in gaps]))
    return t


def reload(lab):
    n = size(lab)
    probed, address = door(lab)
    same, other = many(lab, n), many(lab, n, changed=n - 1)
    gaps = []
    with subjects.usher(lab, same + probed, seconds=120) as u:
        head = u.ini.read_text().removesuffix(same + probed)
        for i in range(lab.pairs):
            u.ini.write_text(head + (same if i % 2 else other) + probed)
            gaps.append(gap(lab, address, lambda: u.call("Reload")))
    t = gap_table(f"reload that changes one of {n} services", gaps)
    t.bar(f"reload of one of {n}: the loop stalls",
          median([g[0] for g in gaps]), 10, unit=" ms")
    t.bar(f"reload of one of {n}: failed connections",
          sum(g[2] for g in gaps), 0, exact=True)
    return [t]


def ask_upgrade(u):
    """Who asks is told by the connection's end. Nobody asks again while the
    new image is on probation: an answer would have its own part in the gap."""
    try:
        u.call("Upgrade", timeout=60)
    except Failed:
        pass


def upgraded(u, count):
    """The Nth upgrade is confirmed; else Failed."""
    def confirmed():
        state = u.call("Status", service="probed")["upgrade"]
        if not state["ok"]:
            raise Failed(f"upgrade {count}: {state['text']}")
        return state["count"] >= count and not state["phase"]
    wait_for(confirmed, u.subject)


def upgrade(lab):
    n, conns = (100, 1000) if lab.quick else (
        1000, min(10000, lab.descriptors // 2 - 1500))
    probed, address = door(lab)
    gaps = []
    with lab.backend("echo") as b:
        relay = lab.port()
        text = many(lab, n) + probed + subjects.service("r", listen=relay,
                                                        relay=b)
        with subjects.usher(lab, text, seconds=60) as u, \
                held(lab, relay, conns):
            for i in range(lab.pairs):
                gaps.append(gap(lab, address, lambda: ask_upgrade(u)))
                upgraded(u, i + 1)
    t = gap_table(f"upgrade with {n} services and {conns} relayed "
                  "connections", gaps)
    t.bar("upgrade: doors unattended", median([g[0] for g in gaps]), 10,
          unit=" ms")
    t.bar("upgrade: failed connections", sum(g[2] for g in gaps), 0,
          exact=True)
    return [t]


# --- the loop ---------------------------------------------------------------

def loop(lab):
    """One event among few and among many; usher's own code, no daemon."""
    cost = lab.program("loop-cost")
    t = Table("one event among many", ["watches", "timers", "ns an event",
                                       "beside the fewest"])
    if not cost.exists():
        raise Failed(f"{cost}: `make bench` builds it")
    few, many_ = (10, 100), (10000, 100000)
    got = {}
    for _ in range(lab.pairs):
        for watches, timers in (few, many_):
            r = subprocess.run([cost, "-w", str(watches), "-n", str(timers),
                                "-t", str(lab.seconds)], text=True,
                               capture_output=True)
            if r.returncode:
                raise Failed(f"loop-cost: {r.stderr.strip()}")
            got.setdefault((watches, timers), []).append(
                json.loads(r.stdout)["each"])
    for key, runs in got.items():
        beside = [a / b for a, b in zip(runs, got[few])]
        t.row(*key, spread(runs), spread(beside))
    t.bar("loop: an event among 10,000 watches and 100,000 timers",
          median([a / b for a, b in zip(got[many_], got[few])]), 1.5)
    return [t]


# --- control ----------------------------------------------------------------

@contextlib.contextmanager
def asking(u, rate, cpu):
    """Status, RATE times a second, from CPU; yields the list of answer times
    in ms. U None: nobody is asked."""
    times, stop = [], threading.Event()
    if not u:
        yield times
        return

    def ask():
        os.sched_setaffinity(0, {cpu})     # this thread
        due = time.monotonic()
        while not stop.is_set():
            begin = time.monotonic()
            u.call("Status")
            times.append((time.monotonic() - begin) * 1e3)
            due += 1 / rate
            time.sleep(max(0, due - time.monotonic()))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield times
    finally:
        stop.set()
        thread.join()


def lower(values):
    """The lower quartile."""
    return sorted(values)[len(values) // 4]


def control(lab):
    """Many short windows in turn: what else the machine does only ever adds,
    and lasts longer than one, so the lower quartiles of p99 are compared."""
    a = lab.address("unix")
    runs = {"it is asked": [], "another usher is asked": [],
            "nobody is asked": []}
    answers = []
    with ours(lab, a, pin=0, exec=lab.program("worker-pass"),
              handoff="pass", workers=2)() as u, \
            subjects.usher(lab, "", pin=1) as other:
        def load():
            return lab.load("load-conn", "-a", a, "-R", 40000,
                            subject=u.subject, pin=1, seconds=lab.seconds / 4)

        load()
        for i in range(4 * lab.pairs):
            for name in list(runs)[::-1 if i % 2 else 1]:
                who = {"it is asked": u, "another usher is asked": other}
                with asking(who.get(name), 200, 1) as times:
                    runs[name].append(load())
                if who.get(name) == u:
                    answers += times
    t = Table("control: 200 Status a second beside 40,000 hand-offs",
              ["", "hand-offs/s", "CPU us a hand-off", "p50 us", "p99 us",
               "its lower quartile", "errors"])
    best = {}
    for name, rs in runs.items():
        best[name] = lower([r["p99"] for r in rs])
        t.row(name, median([r["rate"] for r in rs]),
              spread([r["each"] for r in rs]),
              median([r["p50"] for r in rs]),
              spread([r["p99"] for r in rs]), best[name],
              sum(r["errors"] for r in rs))
    answers.sort()
    t.note = ("usher and its workers on one CPU, all else on the other; who "
              "asks takes processor time there, so without it he asks another "
              f"usher there. An answer took {median(answers):.2f} ms, p99 "
              f"{answers[len(answers) * 99 // 100]:.2f} ms.")
    t.bar("control: p99 of a hand-off beside that when another is asked, "
          "lower quartiles",
          best["it is asked"] / best["another usher is asked"], 1.1)
    t.bar("control: failed hand-offs",
          sum(r["errors"] for rs in runs.values() for r in rs), 0, exact=True)
    return [t]
