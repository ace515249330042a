"""What the keeper is for, and what it costs: how long a door waits for the
next usher after kill -9, and what a shared descriptor table adds to a call.
"""
import contextlib
import os
import signal
import subprocess
import time

import subjects
from arrivals import ratios, rounds
from calls import during
from lab import Failed, median
from relays import held
from report import Table, spread
from scale import door, gap

# --- kill -9 ----------------------------------------------------------------


def kill(u):
    os.kill(u.pid, signal.SIGKILL)
    os.waitpid(u.pid, 0)


def next_one(u):
    """Waits until another usher than the one that was killed answers."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, Failed, ValueError):
            if u.call("Status", timeout=5, service="probed")["pid"] != u.pid:
                return
        time.sleep(0.01)
    raise Failed("no usher took over in 20 s")


def respawn(lab, u, stack):
    """The keeper itself brings the next one."""
    kill(u)
    next_one(u)


def supervise(lab, u, stack):
    """A supervisor starts the next one, which asks the keeper. No cgroup of
    its own: to enter one would be most of the time."""
    kill(u)
    p = subprocess.Popen([lab.usher, "serve", "-c", u.ini],
                         env={**os.environ, "NOTIFY_SOCKET": ""},
                         stderr=subprocess.DEVNULL)
    stack.callback(p.wait)
    stack.callback(p.kill)
    next_one(u)


def one_kill(lab, mode, act, conns):
    """What gap() tells of one kill beside CONNS relayed connections, and how
    many of them are not there afterwards."""
    probed, address = door(lab)
    relay = lab.port()
    with lab.backend("echo") as b, contextlib.ExitStack() as stack:
        text = probed + subjects.service("r", listen=relay, relay=b)
        u = stack.enter_context(
            subjects.usher(lab, text, more=f"keeper = {mode}"))
        with held(lab, relay, conns):
            told = gap(lab, address, lambda: act(lab, u, stack), 2.0)
            r = u.call("Status", service="r")["services"][0]
            lost = conns - r["busy"]
        with contextlib.suppress(Failed):       # it ends meanwhile
            u.call("Shutdown", now=True)
    return (*told, lost)


def takeover(lab):
    conns = min(1000 if lab.quick else 8000, lab.descriptors // 2 - 1500)
    tables = []
    for words, mode, act in (("keeper = respawn", "respawn", respawn),
                             ("a supervisor", "yes", supervise)):
        got = [one_kill(lab, mode, act, conns) for _ in range(lab.pairs)]
        t = Table(f"kill -9 with {conns} relayed connections, {words}",
                  ["what", "measured"])
        t.row("longest wait of a client meanwhile, ms",
              spread([g[0] for g in got]))
        t.row("longest wait without, ms", spread([g[1] for g in got]))
        t.row("until the next one answers, ms", spread([g[3] for g in got]))
        t.bar(f"take-over, {words}: doors unattended",
              median([g[0] for g in got]), 100, unit=" ms")
        t.bar(f"take-over, {words}: failed connections",
              sum(g[2] for g in got), 0, exact=True)
        t.bar(f"take-over, {words}: relayed connections lost",
              sum(g[4] for g in got), 0, exact=True)
        tables.append(t)
    return tables


# --- the shared table -------------------------------------------------------

def work(lab):
    """(what, its settings, the load) of each row; a generator, since the
    relay's upstream must be there meanwhile."""
    a, b = lab.address("tcp"), lab.address("unix")
    yield "accept and pass, TCP", a, {
        "exec": lab.program("worker-pass"), "handoff": "pass",
        "workers": 2}, ("load-conn", "-a", a, "-n", 16)
    yield "accept and pass, Unix", b, {
        "exec": lab.program("worker-pass"), "handoff": "pass",
        "workers": 2}, ("load-conn", "-a", b, "-n", 16)
    with lab.backend("echo", pin=0) as echo:
        a = lab.address("tcp")
        yield "relay, message", a, {"relay": echo}, (
            "load-ping", "-a", a, "-n", 16)


def with_keeper(lab, mode, address, keys):
    return lambda: subjects.usher(
        lab, subjects.service("b", listen=address, **keys), pin=0,
        more=f"keeper = {mode}")


def calls_each(lab, start, load):
    """System calls a unit under LOAD."""
    with start() as u:
        r, found = during(u.pid, lambda: lab.load(
            load[0], *load[1:], "-w", 0.001, pin=0))
    return sum(found.values()) / r["units"]


def keeper(lab):
    t = Table("what the shared descriptor table costs, one CPU",
              ["work", "without, CPU us", "with, CPU us", "beside without",
               "calls a unit", "ns a call"],
              "keeper = no and keeper = yes by turns; calls are usher's own, "
              "counted by strace under the same load.")
    for what, address, keys, load in work(lab):
        starts = {m: with_keeper(lab, m, address, keys)
                  for m in ("no", "yes")}
        got, failed = rounds(lab, starts, lambda u: lab.load(
            load[0], *load[1:], subject=u.subject, pin=0))
        beside = ratios(got, "yes", "no")
        t.missing += [f"{what}, keeper = {m}: {why}"
                      for m, why in failed.items()]
        if not beside:
            continue
        try:
            calls = calls_each(lab, starts["yes"], load)
        except (Failed, OSError, subprocess.SubprocessError) as e:
            t.missing.append(f"{what}, calls: {e}")
            continue
        no, yes = ([r["each"] for r in got[m]] for m in ("no", "yes"))
        more = [(y - n) * 1e3 / calls for n, y in zip(no, yes)]
        t.row(what, spread(no), spread(yes), spread(beside), calls,
              spread(more))
        t.bar(f"keeper, {what}: CPU beside without", median(beside), 1.1)
        t.bar(f"keeper, {what}: failed", sum(r["errors"] for r in
                                             got["no"] + got["yes"]), 0,
              exact=True)
    return [t]
