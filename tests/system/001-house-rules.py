"""The tree keeps its own rules: who includes whom, how long a function is,
man pages and scripts without a complaint, nothing that only exists elsewhere.

Every breach is told, each with its file and line.
"""
import os
import re
import shutil
import subprocess
import sys

from harness import TOP

parallel = True
timeout = 120

# Downward only, and rooms on one floor don't know each other.
FLOORS = [
    {"base"},
    {"conf"},
    {"model"},
    {"inlet"},
    {"work", "relay", "builtin", "trigger"},
    {"backend"},
    {"action", "continuity"},
    {"control"},
    {"", "client"},                     # main, daemon: what they need
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS)
         for room in rooms}

# A library's header, and the only places where it may be seen.
LIBRARIES = {
    r"ini\.h": r"conf/",
    r"systemd/.*": r"base/log\.c|daemon\.c|manager\.c|"
                    r"continuity/fdstore\.c|client/sysunit\.c",
    r"n?curses.*": r"client/",
}

LONGEST_FUNCTION = 90
WIDEST = 80

# Where an absolute path may begin, on any machine; and the rest of one that
# begins with a variable.
ANYWHERE = ("bin boot dev etc home lib media mnt nonexistent nowhere opt org "
            "proc root run sbin srv sys tmp usr var usher doc src tests").split()
ABSOLUTE = re.compile(r"""(?:^|[\s"'`=:(<])/([a-z][\w.-]+)/[\w.-]+""", re.M)
UPWARD = re.compile(r"(?<![\w.])((?:\.\./)+)[\w.-]")
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")

MADE = re.compile(r"(^|/)(build[^/]*|_build|_inst|\.git|autom4te\.cache|"
                  r"__pycache__)(/|$)|"
                  r"^(configure|aclocal\.m4|Makefile\.in|Makefile|"
                  r"config\..*|stamp-h1|libusher\.a|usher)~?$|"
                  r"\.(o|a|log|trs|dirstamp|Po|xz|gz)$|/\.deps/")

breaches = []


def breach(path, line, text):
    breaches.append(f"{path}:{line}: {text}")


def tracked():
    """What belongs to the tree, as git says or, in a tarball, by looking."""
    done = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=TOP,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        check=False) if shutil.which("git") else None
    if done and done.returncode == 0 and done.stdout:
        names = done.stdout.splitlines()
    else:
        names = [os.path.relpath(os.path.join(folder, name), TOP)
                 for folder, _, files in os.walk(TOP) for name in files]
    return sorted(name for name in names if not MADE.search(name)
                  and os.path.isfile(os.path.join(TOP, name)))


def read(name):
    try:
        with open(os.path.join(TOP, name), encoding="utf-8") as file:
            return file.read()
    except UnicodeDecodeError:
        return ""                       # a fuzzer's sample


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def check_includes(name, text):
    inside = name.removeprefix("src/")
    room = os.path.dirname(inside)
    if room not in FLOOR:
        breach(name, 1, f"no such room: {room}")
        return
    for found in re.finditer(r'^#\s*include\s+"([^"]+)"', text, re.M):
        other = os.path.dirname(found.group(1))
        if other == room or found.group(1) == "config.h":
            continue
        if other not in FLOOR:
            breach(name, line_of(text, found.start()),
                   f"no such room: {found.group(1)}")
        elif FLOOR[other] >= FLOOR[room] and FLOOR[room] < len(FLOORS) - 1:
            breach(name, line_of(text, found.start()),
                   f"{room} may not know {found.group(1)}")
    for found in re.finditer(r"^#\s*include\s+<([^>]+)>", text, re.M):
        for header, allowed in LIBRARIES.items():
            if re.fullmatch(header, found.group(1)) and \
                    not re.match(allowed, inside):
                breach(name, line_of(text, found.start()),
                       f"<{found.group(1)}> is for {allowed} only")


def check_functions(name, text):
    lines = text.splitlines()
    begin = None
    for number, line in enumerate(lines):
        if line == "{":
            begin = number
        elif line == "}" and begin is not None:
            length = number - begin - 1
            head = " ".join(lines[max(0, begin - 4):begin])
            if length > LONGEST_FUNCTION and not re.search(
                    r"\bmain\([^()]*\)\s*$", head):
                breach(name, begin + 1, f"a function of {length} lines")
            begin = None


def check_width(name, text):
    for number, line in enumerate(text.splitlines(), 1):
        if len(line.expandtabs(8)) > WIDEST:
            breach(name, number, f"wider than {WIDEST} columns")


def check_page(name):
    done = subprocess.run(["mandoc", "-Tlint", os.path.join(TOP, name)],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    for line in done.stdout.splitlines():
        # Pages of programs that this machine need not have.
        if not re.search("referenced manual not found|mandoc.db", line):
            breach(name, "", line.removeprefix("mandoc: "))


def check_script(name):
    tools = [["bash", "-n"]]
    if shutil.which("shellcheck"):
        tools.append(["shellcheck", "-f", "gcc", "-S", "warning"])
    for tool in tools:
        done = subprocess.run([*tool, os.path.join(TOP, name)],
                              stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.STDOUT, check=False)
        for line in done.stdout.splitlines():
            breach(name, "", line)


def check_text(name, text):
    for found in ABSOLUTE.finditer(text):
        if found.group(1) not in ANYWHERE:
            breach(name, line_of(text, found.start() + 1),
                   f"a path that is not everywhere: {found.group().strip()}")
    depth = name.count("/")
    for found in UPWARD.finditer(text):
        # A build directory is two levels down, so its paths climb more.
        if found.group(1).count("/") > max(depth, 2):
            breach(name, line_of(text, found.start()),
                   "a path that leaves the tree")
    for found in UNFINISHED.finditer(text):
        breach(name, line_of(text, found.start()), found.group())


def check(name):
    text = read(name)
    if re.match(r"src/.*\.[ch]$", name):
        check_includes(name, text)
    if name.endswith(".c"):
        check_functions(name, text)
    if re.match(r"(src|doc/examples)/.*\.[ch]$|README$", name):
        check_width(name, text)
    if re.match(r"doc/.*\.[1-8]$", name) and shutil.which("mandoc"):
        check_page(name)
    if re.match(r"#!/bin/(ba)?sh|#!/usr/bin/env bash", text):
        check_script(name)
    if name != ".gitignore":            # its paths begin at the tree's top
        check_text(name, text)


def check_listed(names):
    """What is not in Makefile.am is not in the tarball."""
    words = set(re.findall(r"[\w./-]+", read("Makefile.am")))
    whole = set(re.search(r"^EXTRA_DIST = ([^$]*)", read("Makefile.am"),
                          re.M).group(1).split())
    lines = re.findall(r"^\t(\S+\.[ch]) \\$", read("Makefile.am"), re.M)
    for line in set(lines):
        if lines.count(line) > 1:
            breach("Makefile.am", "", f"{line} twice")
    alone = {".gitignore", "COPYING", "Makefile.am",
             "configure.ac"}
    for name in names:
        folders = {name[:i] for i, c in enumerate(name) if c == "/"}
        known = {name, name.removesuffix(".c")} & words or folders & whole
        if name not in alone and not known:
            breach(name, 1, "not in Makefile.am")


names = tracked()
assert "src/main.c" in names and "autogen.sh" in names, names
for each in names:
    check(each)
check_listed(names)
if breaches:
    sys.exit("\n".join(breaches))
