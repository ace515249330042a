"""Doors that systemd owns: fd:NAME by usher.socket, at a port below 1024,
with an usher that has no right to it; a restart and a stop leave it open.
systemd makes them blocking at each start: no usher may wait in accept for it.
A wrong file on disk meanwhile changes nothing, and a reload says what it is."""
from concurrent.futures import ThreadPoolExecutor

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

[service told]
handoff = share
listen = fd:told
exec = /usr/bin/python3 @TESTS@/share_worker.py told

[service plain]
handoff = share
listen = fd:plain
exec = /usr/bin/python3 @TESTS@/share_worker.py plain
"""

DOORS = ("more", "told", "plain")
DOOR = """[Unit]
StartLimitIntervalSec=0
[Socket]
ListenStream=/run/NAME
FileDescriptorName=NAME
Service=usher.service
"""
SOCKETS = ["usher.socket"] + [f"usher-{name}.socket" for name in DOORS]


ASK = """
for i in 1 2; do
	socat -t10 - TCP:127.0.0.1:80 </dev/null | grep -q . && echo web
	echo more | socat -t10 - UNIX-CONNECT:/run/more
done
socat -t10 - UNIX-CONNECT:/run/told </dev/null; echo
socat -t10 - UNIX-CONNECT:/run/plain </dev/null
"""


def serves(unit):
    """Twice: who waits in accept for the next client answers the first. Who
    accepts for itself finds its door as it made it. The pid of plain's."""
    *said, plain = unit.sh(ASK, status=None).stdout.splitlines()
    assert said == ["web", "more"] * 2 + ["does not wait"], said
    return plain


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
    wait_for(lambda: unit.show("StatusText") == "4 services, 0 degraded")
    assert unit.pid == pid
    serves(unit)


def one(unit):
    for name in DOORS:
        unit.put(f"/etc/systemd/system/usher-{name}.socket",
                 DOOR.replace("NAME", name))
    unit.run("systemctl", "daemon-reload")
    unit.run("systemctl", "start", *SOCKETS)
    assert not unit.active()
    plain = serves(unit)        # the first client starts usher
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
    assert serves(unit) == plain
    # Stopped: the doors are systemd's and bring usher back.
    unit.ctl("stop")
    left = [line for line in unit.left()
            if not any(f" /run/{name} " in line for name in DOORS)]
    assert not left, left
    assert serves(unit) != plain
    assert unit.active()
    unit.run("systemctl", "stop", *SOCKETS)


def under(root):
    with Unit(root, CONF, start=False,
              dropins=("hardening", "own-user", "no-network")) as booted:
        one(booted)


with ThreadPoolExecutor() as both:      # they mostly wait
    list(both.map(under, roots))
