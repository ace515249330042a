"""Upgraded to a build whose state has more, and back: what it added reads as
zero, is left until nobody goes back to it, then ended; nothing is lost. A
state of another era is refused before anything has happened."""
import os
import re
import struct

from harness import BINARY, BUILD, Daemon, popen, wait_for
from continuity_lib import killed, settled, upgrades, warm
from continuity_load import CONF, Load, summary

timeout = 120

NEXT = os.path.join(BUILD, "tests", "usher-next")
IDLE = 20                       # relays that live from end to end
STATE, VERSION = 3, 8           # the memfd's number; offset in its header


def found(usher, times):
    """What usher-next says it found when it took over for the TIMESth time."""
    def lines():
        return re.findall(r"next: (level .*)", usher.log)
    wait_for(lambda: len(lines()) >= times, what="what the next build found")
    assert len(lines()) == times, lines()
    words = lines()[-1].split()
    return dict(zip(words[::2], (int(n) for n in words[1::2])))


def has_record(usher):
    """The descriptor of the kind that only usher-next knows is open."""
    folder = f"/proc/{usher.pid}/fd"

    def what(number):
        try:
            return os.readlink(f"{folder}/{number}")
        except FileNotFoundError:       # closed since
            return ""

    return any("memfd:usher-next" in what(n) for n in os.listdir(folder))


def upgrade(usher, image):
    """To IMAGE, which serves and is on probation yet."""
    count = upgrades(usher)["count"]
    asked = popen([BINARY, "upgrade", "--control", usher.control, "--to",
                   image])
    wait_for(lambda: (upgrades(usher)["count"], upgrades(usher)["phase"]) ==
             (count + 1, 2), what="probation")
    return asked


def confirmed(usher, asked):
    assert asked.wait(30) == 0
    settled(usher)


def version(usher, value):
    with open(f"/proc/{usher.pid}/fd/{STATE}", "r+b", buffering=0) as state:
        state.seek(VERSION)
        old = struct.unpack("I", state.read(4))[0]
        state.seek(VERSION)
        state.write(struct.pack("I", value))
    return old


with Daemon(CONF % {"keeper": "respawn"}, fds=False) as usher:
    warm(usher, "pass", "spawn")
    load = Load(usher, connections=["pass", "spawn"],
                streams={"relay": 3}, idle={"relay": IDLE}, triggers=True,
                waiters=1, pause=0.01)

    ours = version(usher, 0x100)
    done = usher.run("upgrade", status=1)
    assert "another era" in done.stdout + done.stderr, done
    version(usher, ours)
    level = ours & 0xff

    # There: none of it has been made yet.
    confirmed(usher, upgrade(usher, NEXT))
    told = found(usher, 1)
    assert told["relays"] >= IDLE, told
    assert (told["level"], told["field"], told["records"],
            told["marked"]) == (level, 0, 0, 0), told
    assert has_record(usher)

    # Back, and killed on probation: the next build has all that it wrote.
    asked = upgrade(usher, BINARY)
    assert has_record(usher)
    killed(usher)
    assert asked.wait(30) == 1
    assert upgrades(usher)["backs"] == 1
    told = found(usher, 2)
    assert (told["level"], told["field"],
            told["records"]) == (level + 1, 1, 1), told
    assert told["kept"] >= IDLE, told

    # Back for good: what this build does not know is ended.
    asked = upgrade(usher, BINARY)
    assert has_record(usher)
    confirmed(usher, asked)
    assert not has_record(usher)

    # There again: zero, whatever stands in records that went through.
    upgrade(usher, NEXT)
    told = found(usher, 3)
    assert (told["level"], told["field"], told["records"],
            told["kept"]) == (level, 0, 0, 0), told
    assert told["marked"] >= IDLE, told
    settled(usher)
    print(summary(load.end()))
    usher.ended = None
