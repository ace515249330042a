"""Under load, and nothing is lost: kill -9, systemctl restart, a binary that
is broken for two seconds, a wrong file on disk, upgrades to good and bad
images, a package update."""
from continuity_lib import dose, pause
from continuity_load import DOORS, DOSES, summary
from harness import wait_for
from systemd_lib import Unit

group = "systemd"
roots = ["boot12", "boot13"]
timeout = 240
full = 1800

CONF = """
[usher]
spool = @DIR@/spool
upgrade_timeout = 5s

[service pass]
listen = tcp:127.0.0.1:@PORT:pass@ backlog=4096
handoff = pass
workers = 2-4
settle = 50ms
exec = /usr/bin/python3 @TESTS@/pass_worker.py plain
""" + DOORS + DOSES

RATE = 0 if dose(40) == 40 else 300     # as many as can be; a check has others

# Rehearses well, and then is no usher.
CRASHES = """#!/bin/sh
case "$*" in
*--rehearse*) exec /usr/local/bin/usher "$@" ;;
*) kill -9 $$ ;;
esac
"""


def broken(unit):
    """Nothing that can start lies there for two seconds."""
    unit.sh("mv /usr/local/bin/usher /usr/local/bin/usher.good; "
            "printf '#!/bin/false\n' >/usr/local/bin/usher; "
            "chmod 755 /usr/local/bin/usher")
    pid = unit.pid
    unit.run("kill", "-9", str(pid))
    pause(2)
    unit.sh("mv /usr/local/bin/usher.good /usr/local/bin/usher")
    unit.ready(pid)


def wrong_file(unit):
    unit.put("/etc/usher/usher.ini", "this is no configuration\n")
    unit.ctl("restart")
    assert "the last good configuration is in force" in \
        unit.show("StatusText"), unit.show("StatusText")
    unit.write(unit.conf)
    unit.ctl("restart")
    wait_for(lambda: "last good" not in unit.show("StatusText"))


def update(unit):
    """As a package does it: another file by rename, then a restart."""
    unit.sh("cp /usr/local/bin/usher /usr/local/bin/usher.new && "
            "mv /usr/local/bin/usher.new /usr/local/bin/usher")
    pid = unit.pid
    unit.ctl("restart")
    unit.ready(pid)


def upgrade(unit):
    pid = unit.pid
    unit.usher("upgrade")
    assert unit.pid == pid
    # The image of before lay in the store only until the new one held.
    wait_for(lambda: unit.show("NFileDescriptorStore") == "2")


def bad_upgrade(unit):
    unit.put("/srv/crashes", CRASHES)
    unit.run("chmod", "755", "/srv/crashes")
    unit.usher("upgrade", "--to", "/srv/crashes", status=None)
    unit.ready()
    done = unit.usher("upgrade", "--to", "/bin/true", status=None)
    assert done.returncode == 1, done
    wait_for(lambda: unit.show("NFileDescriptorStore") == "2")


def one(unit):
    load = unit.load(
        connections=["pass", "share"], idle={"echo": dose(8000)},
        streams={"relay": 5}, pause=0.005,
        doses={"floods": {"fast": RATE, "many": RATE},
               "checked": {"checked": 20, "spliced": 20}, "halves": 10})
    steps = [Unit.kill] * dose(40) + [
        lambda unit: unit.ctl("restart")] * dose(20) + [
        broken, wrong_file, update, upgrade, bad_upgrade]
    for step in steps:
        step(unit)
        pause(0.1)
    print(unit.root, len(steps), "steps:", summary(load.end()))


for root in ("boot12", "boot13"):
    with Unit(root, CONF) as booted:
        one(booted)
