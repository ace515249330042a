"""Tables, the bars they are judged by, and both as Markdown.

A bar is one line of what is to be reached: a ratio or a time, and the most
(or the least) that it may be. `bounds` makes every bar so many times as wide.
"""
import datetime
import math
import os
import pathlib
import platform
import statistics


class Bar:
    """VALUE must be at most (or with least=True at least) LIMIT."""

    def __init__(self, text, value, limit, least=False, unit="", exact=False):
        self.text, self.value, self.limit = text, value, limit
        self.least, self.unit, self.exact = least, unit, exact

    def holds(self, bounds=1.0):
        if self.value is None or math.isnan(self.value):
            return False
        k = 1.0 if self.exact else bounds
        if self.least:
            return self.value >= self.limit / k
        return self.value <= self.limit * k

    def line(self, bounds):
        value = "not measured" if self.value is None else \
            f"{number(self.value)}{self.unit}"
        word = "at least" if self.least else "at most"
        state = "ok" if self.holds(bounds) else "MISSED"
        return [self.text, value, f"{word} {number(self.limit)}{self.unit}",
                state]


def number(x):
    """Three digits that count."""
    if x is None:
        return ""
    if isinstance(x, str):
        return x
    if x == 0 or abs(x) >= 100:
        return f"{x:,.0f}"
    return f"{x:.{max(0, 2 - math.floor(math.log10(abs(x))))}f}"


def spread(values):
    """The median, and from where to where."""
    low, high = min(values), max(values)
    if len(values) == 1 or number(low) == number(high):
        return number(statistics.median(values))
    return (f"{number(statistics.median(values))} "
            f"({number(low)} to {number(high)})")


def markdown(head, rows):
    lines = ["| " + " | ".join(head) + " |",
             "|" + " --- |" * len(head)]
    return lines + ["| " + " | ".join(number(c) for c in row) + " |"
                    for row in rows]


class Table:
    def __init__(self, title, head, note=""):
        self.title, self.head, self.note = title, head, note
        self.rows, self.bars, self.missing = [], [], []

    def row(self, *cells):
        self.rows.append(cells)

    def bar(self, text, value, limit, **how):
        self.bars.append(Bar(text, value, limit, **how))

    def text(self):
        lines = [f"### {self.title}", ""]
        if self.note:
            lines += [self.note, ""]
        if self.rows:
            lines += markdown(self.head, self.rows) + [""]
        lines += [f"Not measured: {m}" for m in self.missing]
        return "\n".join(lines + [""] if self.missing else lines)


def judge(tables, bounds):
    """The table of all bars, and how many are missed."""
    bars = [bar for t in tables for bar in t.bars]
    missed = [bar for bar in bars if not bar.holds(bounds)]
    if not bars:
        return "", 0
    wide = "" if bounds == 1 else f", {number(bounds)} times as wide"
    lines = [f"### What is to be reached{wide}", ""]
    lines += markdown(["bar", "measured", "to reach", ""],
                      [bar.line(bounds) for bar in bars])
    return "\n".join(lines + [""]), len(missed)


def os_name():
    for line in pathlib.Path("/etc/os-release").read_text().splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return "unknown system"


def cpu_name():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def heading(lab, version):
    how = f"cgroup ({lab.cpu_file})" if lab.cgroups else "/proc/PID/stat"
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg())
    return "\n".join([
        f"## {datetime.date.today().isoformat()}: {version}",
        "",
        f"{os.cpu_count()} x {cpu_name()}, Linux {platform.release()}, "
        f"{os_name()}. {lab.pairs} rounds of {number(lab.seconds)} s, medians "
        f"(lowest to highest); processor time by {how}; load average at the "
        f"start {load}.",
        ""])
