"""Triggers: how many are taken, and what one costs, beside who only counts.

usher coalesces equal ones into runs of a program that does nothing; what it
says it has taken must be what was written.
"""
import time

import subjects
from arrivals import no_errors, ratio, ratios, rounds
from lab import median
from report import Table, spread

LIMIT = "limit: counts"


def arrivals(u):
    """How many arrivals usher has counted at its endpoints."""
    return sum(e["arrivals"] for s in u.call("Status")["services"]
               for e in s["endpoints"])


def settled_arrivals(u):
    """The count once it has stopped growing."""
    last = -1
    while last != (now := arrivals(u)):
        last = now
        time.sleep(0.2)
    return last


def million(lab, t, address, ours):
    """How many a second when the writers are no brake: many in one write."""
    got, failed = rounds(lab, {"usher": ours}, lambda u: lab.load(
        "load-trigger", "-a", address, "-j", 1, "-p", 16, subject=u.subject))
    t.missing += [f"16 a write: {why}" for why in failed.values()]
    rates = [r["rate"] for r in got.get("usher", [])]
    if rates:
        t.row("usher, 16 a write, all processors",
              spread([r["each"] for r in got["usher"]]), "", spread(rates),
              "", sum(r["errors"] for r in got["usher"]))
    t.bar("triggers, FIFO: a second", median(rates) if rates else None, 1e6,
          least=True)


def triggers(lab):
    tables = []
    kinds = [("fifo", "FIFO", 2), ("unix-dgram", "Unix datagram", 2),
             ("unix", "Unix stream", 8), ("tcp", "TCP", 8)]
    for kind, word, writers in kinds:
        a = lab.address(kind)
        lost = []

        def measure(subject):
            run = getattr(subject, "subject", subject)
            r = lab.load("load-trigger", "-a", a, "-j", writers, subject=run,
                         pin=0)
            if run is not subject:
                # Those of the warm-up are not among the units, so that a
                # count below them is a loss for sure.
                lost.append(max(0, r["units"] - settled_arrivals(subject)))
            return r

        def limit():
            argv = [lab.program("limit-trigger"), "-a", a]
            return lab.run(argv, a, pin=0)

        def ours():
            return subjects.usher(lab, subjects.service(
                "t", trigger=a, exec=lab.program("tiny"), handoff="spawn",
                coalesce="100ms"), pin=0)

        t = Table(f"triggers: {word}, equal ones, one CPU", [
            "subject", "CPU us each", "beside the limit", "a second",
            "rate beside the limit", "errors"],
            f"{writers} writers, one write or connection a trigger.")
        got, failed = rounds(lab, {LIMIT: limit, "usher": ours}, measure)
        for name, runs in got.items():
            cpu, rate = ratios(got, name, LIMIT), ratios(got, name, LIMIT,
                                                         "rate")
            t.row(name, spread([r["each"] for r in runs]),
                  spread(cpu) if cpu else "",
                  spread([r["rate"] for r in runs]),
                  spread(rate) if rate else "",
                  sum(r["errors"] for r in runs))
        t.missing += [f"{k}: {v}" for k, v in failed.items()]
        if kind == "fifo":
            t.bar("triggers, FIFO: rate beside the limit",
                  ratio(got, "usher", LIMIT, "rate"), 0.9, least=True)
            million(lab, t, a, ours)
        no_errors(t, got, "usher", f"triggers, {word}")
        t.bar(f"triggers, {word}: taken by a writer's count, not by usher's",
              sum(lost) if lost else None, 0, exact=True)
        tables.append(t)
    return tables
