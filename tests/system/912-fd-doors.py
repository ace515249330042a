"""Doors that systemd owns: fd:NAME by usher.socket, at a port below 1024,
with an usher that has no right to it; a restart and a stop leave it open.
systemd makes them blocking at each start: no usher may wait in accept for it.
A wrong file on disk meanwhile changes nothing, and a reload says what it is."""
from harness import wait_for
from systemd_lib import Unit

group = "systemd"
roots = ["boot12", "boot13"]
timeout = 120

CONF = """
[service web]
listen = fd:web
exec = /usr/bin/python3 @TESTS@/pass_worker.py plain
handoff = pass
workers = 1

[service more]
listen = fd:more
builtin = echo
"""

MORE = """[Unit]
StartLimitIntervalSec=0
[Socket]
ListenStream=/run/more
FileDescriptorName=more
Service=usher.service
"""


def ask(unit, door, text=""):
    return unit.run("socat", "-t10", "-", door, input=text).stdout


def serves(unit):
    """Twice: who waits in accept for the next client answers the first."""
    for _ in range(2):
        assert ask(unit, "TCP:127.0.0.1:80")
        assert ask(unit, "UNIX-CONNECT:/run/more", "x\n") == "x\n"


def wrong_file(unit):
    """Restarted and killed with it, then told to reload it."""
    good, pid = unit.conf, unit.pid
    unit.write(good.replace("workers = 1", "wrokers = 1"))
    unit.ctl("restart")
    pid = unit.ready(pid)
    assert "the file on disk is wrong" in unit.show("StatusText")
    serves(unit)
    pid = unit.kill()
    assert unit.ctl("reload", status=None).returncode != 0
    unit.wait_journal(r"usher\.ini:\d+: \[service web\] wrokers: unknown key; "
                      r"did you mean workers\?\n"
                      r"usher reload: 1 mistake; nothing was changed")
    assert unit.active() and unit.pid == pid
    serves(unit)
    unit.write(good)
    unit.ctl("reload")
    wait_for(lambda: unit.show("StatusText") == "2 services, 0 degraded")
    assert unit.pid == pid
    serves(unit)


def one(unit):
    unit.put("/etc/systemd/system/usher-more.socket", MORE)
    unit.run("systemctl", "daemon-reload")
    unit.run("systemctl", "start", "usher.socket", "usher-more.socket")
    assert not unit.active()
    assert ask(unit, "TCP:127.0.0.1:80")        # the first starts usher
    assert ask(unit, "UNIX-CONNECT:/run/more", "x\n") == "x\n"
    assert unit.active()
    unit.ctl("reload")
    for _ in range(2):
        pid = unit.pid
        unit.ctl("restart")
        assert unit.ready(pid) != pid
        serves(unit)
        unit.kill()
        serves(unit)
    wrong_file(unit)
    # Stopped: the door is systemd's and brings usher back.
    unit.ctl("stop")
    left = [line for line in unit.left() if "/run/more" not in line]
    assert not left, left
    assert ask(unit, "TCP:127.0.0.1:80")
    wait_for(unit.active)
    unit.run("systemctl", "stop", "usher.socket", "usher-more.socket")


for root in ("boot12", "boot13"):
    with Unit(root, CONF, start=False,
              dropins=("hardening", "own-user", "no-network")) as booted:
        one(booted)
