"""Each drop-in: systemd-analyze security says what its comment does, and with
it usher starts, serves, reloads and stops."""
import glob
import os
import re

from harness import TOP
from systemd_lib import Unit

group = "systemd"
roots = ["boot12", "boot13"]
timeout = 180

CONF = """
[service web]
listen = unix:/run/usher/web
exec = /usr/bin/python3 @TESTS@/pass_worker.py plain
handoff = pass
workers = 1

[service echo]
listen = tcp:127.0.0.1:%s
builtin = echo

[service who]
listen = unix:/run/usher/who
exec = /usr/bin/id -un
%s
"""


def stated():
    """Each set of drop-ins with the score that one of them tells."""
    yield (), "9.6"
    for path in sorted(glob.glob(f"{TOP}/etc/drop-ins/*.conf")):
        name = os.path.basename(path)[:-5]
        with open(path, encoding="utf-8") as file:
            text = file.read()
        found = re.findall(r"^# Exposure: ([\d.]+)(?: with (.*))?", text, re.M)
        assert found, f"{name}: no score"
        assert "# Breaks" in text, f"{name}: breaks nothing?"
        for score, others in found:
            yield (name, *re.findall(r"([\w-]+)\.conf", others)), score


def serves(unit, dropins):
    port = "79" if "ports-below-1024" in dropins or "own-user" not in dropins \
        else "7979"
    user = "usher" if "own-user" in dropins else "daemon"
    other = "hardening" not in dropins or "other-users" in dropins
    conf = CONF % (port, "user = daemon" if user == "daemon" and other else "")
    if "no-network" in dropins:
        conf = conf.replace(f"tcp:127.0.0.1:{port}", "unix:/run/usher/echo")
    if not other and user == "daemon":
        user = "root"
    unit.write(conf)
    unit.ctl("start")
    assert "degraded: " not in unit.usher("status").stdout, \
        unit.usher("status").stdout
    for path, text in (("web", "hello"), ("who", user)):
        said = unit.sh('socat -t5 - UNIX-CONNECT:"/run/usher/$1" </dev/null',
                       path).stdout
        assert text in said or path == "web" and said, (path, said)
    door = "UNIX-CONNECT:/run/usher/echo" if "no-network" in dropins \
        else f"TCP:127.0.0.1:{port}"
    assert unit.run("socat", "-t5", "-", door, input="x\n").stdout == "x\n"
    unit.ctl("reload")
    pid = unit.pid
    unit.ctl("restart")
    assert unit.pid != pid
    assert "took over" in unit.journal("_PID=%d" % unit.pid)
    unit.ctl("stop")
    assert unit.show("Result") == "success", unit.show("Result")
    assert not unit.left(), (dropins, unit.left())


for root in ("boot12", "boot13"):
    with Unit(root, CONF % (7979, ""), start=False) as booted:
        for names, want in stated():
            booted.use(*names)
            said = booted.run("systemd-analyze", "security", "--no-pager",
                              "usher.service", status=None).stdout
            got = re.search(r"Overall exposure level .*: ([\d.]+)", said)
            assert got and got.group(1) == want, (root, names, want, said)
            try:
                serves(booted, names)
            except AssertionError as error:
                raise AssertionError(f"with {names}: {error}") from error
