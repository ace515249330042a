"""Doors that systemd owns: fd:NAME by usher.socket, at a port below 1024,
with an usher that has no right to it; a restart and a stop leave it open."""
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


def one(unit):
    unit.put("/etc/systemd/system/usher-more.socket", MORE)
    unit.run("systemctl", "daemon-reload")
    unit.run("systemctl", "start", "usher.socket", "usher-more.socket")
    assert not unit.active()
    assert ask(unit, "TCP:127.0.0.1:80")        # the first starts usher
    assert ask(unit, "UNIX-CONNECT:/run/more", "x\n") == "x\n"
    assert unit.active()
    unit.ctl("reload")
    load = unit.load()
    load.start("web", "connections", "tcp:127.0.0.1:80")
    load.start("more", "idle", "unix:/run/more", 20)
    for _ in range(3):
        pid = unit.pid
        unit.ctl("restart")
        assert unit.ready(pid) != pid
        unit.kill()
    load.end()
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
