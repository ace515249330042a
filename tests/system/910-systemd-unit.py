"""The unit under systemd 252 and 257: it verifies, starts, tells its state,
reloads, is restarted by the watchdog, and a stop leaves nothing."""
import os
import stat

from harness import wait_for
from systemd_lib import Unit

group = "systemd"
roots = ["boot12", "boot13"]
timeout = 180

CONF = """
[usher]
spool = @DIR@/spool

[service web]
listen = tcp:127.0.0.1:@PORT:web@
exec = /usr/bin/python3 @TESTS@/pass_worker.py plain
handoff = pass
workers = 2

[service talk]
listen = unix:@DIR@/talk
exec = /bin/sh -c 'echo "<4>what talk says" >&2; echo hello'

[service echo]
listen = tcp:127.0.0.1:@PORT:echo@
builtin = echo

[service job]
trigger = fifo:job
exec = /bin/true
"""

BAD = """
[service bad]
listen = unix:@DIR@/bad
exec = /bin/sh -c 'echo the last words >&2; exit 3'
handoff = pass
workers = 1
"""


def one(unit):
    unit.run("systemd-analyze", "verify", "--man=no",
             "/usr/local/lib/systemd/system/usher.service"
             if os.path.exists(f"{unit.tree}/usr/local/lib/systemd/system")
             else "/lib/systemd/system/usher.service")
    assert unit.active()
    assert unit.show("StatusText") == "4 services, 0 degraded"

    # What a worker writes is in the journal, by service and level.
    assert unit.sh('socat -t5 - UNIX-CONNECT:"$1" </dev/null',
                   f"{unit.dir}/talk").stdout == "hello\n"
    unit.wait_journal("what talk says", "USHER_SERVICE=talk", "PRIORITY=4")
    assert "talk" not in unit.journal("USHER_SERVICE=web")

    # A wrong file: the reload fails and says why, all goes on.
    good, pid = unit.conf, unit.pid
    unit.write(good.replace("workers = 2", "wrokers = 2"))
    assert unit.ctl("reload", status=None).returncode != 0
    unit.wait_journal(r"usher\.ini:\d+: \[service web\] wrokers: unknown key; "
                      "did you mean workers")
    assert unit.active() and unit.pid == pid
    # So does a program that does not live, where it can be tried.
    unit.write(good + unit.expand(BAD))
    assert unit.ctl("reload", status=None).returncode != 0
    unit.wait_journal("bad: a worker of its new settings exited")
    unit.write(good + unit.expand(BAD + "roll = 0\n"))
    unit.ctl("reload")
    unit.wait_journal("the last words", "USHER_SERVICE=bad")
    wait_for(lambda: unit.show("StatusText") == "5 services, 1 degraded")
    wait_for(lambda: "the last words" in
             unit.usher("status", "--json").stdout, what="the last line")
    unit.write(good)
    unit.ctl("reload")
    wait_for(lambda: unit.show("StatusText") == "4 services, 0 degraded")
    assert unit.pid == pid

    # Hung: the watchdog has it killed; who was connected stays so.
    unit.put("/etc/systemd/system/usher.service.d/zz-dog.conf",
             "[Service]\nWatchdogSec=2s\n")
    unit.run("systemctl", "daemon-reload")
    unit.ctl("restart")
    pid = unit.ready(pid)
    load = unit.load(idle={"echo": 50}, streams={"echo": 3},
                     connections=["web"])
    unit.run("kill", "-STOP", str(pid))
    unit.ready(pid)
    print(load.end())
    unit.wait_journal("[Ww]atchdog")

    # By usher's own command too; FIFOs stay.
    assert "nothing is left" in unit.usher("shutdown").stdout
    assert not unit.left(), unit.left()
    assert unit.show("ActiveState") == "inactive"
    assert stat.S_ISFIFO(os.stat(f"{unit.dir}/spool/job").st_mode)
    unit.ctl("start")
    assert "nothing is left" in unit.usher("shutdown", "--now").stdout
    assert not unit.left(), unit.left()
    unit.ctl("start")

    # Killed while it is stopped: that is no way to leave something behind.
    unit.run("kill", "-STOP", str(unit.pid))
    unit.run("systemctl", "stop", "--no-block", "usher.service")
    wait_for(lambda: unit.show("ActiveState") == "deactivating")
    unit.run("kill", "-9", str(unit.pid))
    wait_for(lambda: unit.show("ActiveState") in ("inactive", "failed"))
    wait_for(lambda: not unit.processes(), what="no process left")
    unit.ctl("start")


for root in ("boot12", "boot13"):
    with Unit(root, CONF) as booted:
        one(booted)
