"""System calls a unit of work, counted by strace: what no noise hides.

Only the dispatcher's own are counted, not its workers'. One client at a time,
so that a wait falls on each unit; under load one wait serves many.
"""
import re
import shutil
import signal
import subprocess

import subjects
from lab import Failed
from report import Table, number


def during(pid, work):
    """Runs WORK while strace looks at PID: its result, {call: count}."""
    strace = shutil.which("strace")
    if not strace:
        raise Failed("strace: not installed")
    p = subprocess.Popen([strace, "-c", "-U", "calls,name", "-p", str(pid)],
                         stderr=subprocess.PIPE, text=True)
    first = p.stderr.readline()
    if "attached" not in first:
        p.kill()
        p.wait()
        raise Failed(f"strace: {first.strip()}")
    try:
        result = work()
    finally:
        p.send_signal(signal.SIGINT)    # it prints its table and detaches
        text = p.stderr.read()
        p.wait()
    found = re.findall(r"^\s*(\d+)\s+(\w+)$", text, re.M)
    return result, {name: int(n) for n, name in found if name != "total"}


def calls(lab):
    t = Table("system calls a unit, one client at a time",
              ["work", "subject", "calls", "which"])
    worker, tiny = lab.program("worker-pass"), lab.program("tiny")
    t_, u_ = lab.address("tcp"), lab.address("unix")

    def limit(name, address, *args):
        argv = [lab.program(name), "-a", address, *args]
        return lambda: lab.run(argv, address)

    def ours(address, **keys):
        return lambda: subjects.usher(lab, subjects.service(
            "b", listen=address, **keys))

    with lab.backend("echo") as echo, lab.backend("three") as three:
        for work, load, start in [
                ("pass, TCP", ("load-conn", "-a", t_),
                 (limit("limit-pass", t_, worker),
                  ours(t_, exec=worker, handoff="pass", workers=2))),
                ("pass, Unix", ("load-conn", "-a", u_),
                 (limit("limit-pass", u_, worker),
                  ours(u_, exec=worker, handoff="pass", workers=2))),
                ("spawn, TCP", ("load-conn", "-a", t_),
                 (limit("limit-spawn", t_, tiny), ours(t_, exec=tiny))),
                ("relay, message", ("load-ping", "-a", t_),
                 (limit("limit-relay", t_, "-b", echo), ours(t_, relay=echo))),
                ("relay, connection", ("load-conn", "-a", t_),
                 (limit("limit-relay", t_, "-b", three),
                  ours(t_, relay=three)))]:
            for name, run in zip(("limit", "usher"), start):
                one(lab, t, work, name, run, load)
    return [t]


def one(lab, table, work, name, run, load):
    try:
        with run() as s:
            s = getattr(s, "subject", s)
            r, found = during(s.pid, lambda: lab.load(
                load[0], *load[1:], "-n", 1, "-w", 0.001))
    except (Failed, OSError, subprocess.SubprocessError) as e:
        table.missing.append(f"{work}, {name}: {e}")
        return
    each = {k: n / r["units"] for k, n in found.items()}
    which = ", ".join(f"{k} {number(n)}" for k, n in
                      sorted(each.items(), key=lambda x: -x[1]) if n > 0.02)
    table.row(work, name, sum(each.values()), which)
