"""usher kills itself at each place where something is half done; whoever goes
on finds out what was, and nothing is lost or served twice."""
import os
import re
import sys

from harness import TOP, Daemon, dose, skip, wait_for
from continuity_lib import EVERY, is_debug, pause, took
from continuity_load import CONF, DOSES, Load, summary

timeout = 120
full = 900
MARK = re.compile(r'\bFAULT\("([\w-]+)"\)')
# Each with how often it is to come by before.
LATER = {"record-filled": 300, "record-committed": 300,
         "record-ending": 300, "relay-read": 10, "relay-sent": 10,
         "accepted": 50, "pass-hand": 50, "pass-handed": 50,
         "child-started": 30, "spawn-start": 30, "spawn-started": 30,
         "spawn-recorded": 30, "run-start": 20, "fifo-read": 20, "fifo-counted": 20}
# Of all these where everything passes; `make soak` has all.
SOME = ("record-committed", "record-ending", "child-started")
# In a take-over, so one is begun.
TAKING = {"state-mapped", "revived", "taken-ready", "taken-resumed",
          "taken-turn", "taken-dismissed", "taken-keeper"}
# In an upgrade, in a reload, when a worker starts, or where a supervisor
# starts usher: 621, 635, 322, 634, 640; or where datagrams come: 325.
ELSEWHERE = {"record-hung", "rehearse", "upgrade-handed", "upgrade-ready",
             "received", "reload-tries", "door-moved", "worker-recorded",
             "datagram-read"}


# What `make soak` loads it with besides, at full rate.
IDLE = {"echo": 8000} if dose(20) == 20 else {}
FULL = {"floods": {"fast": 0, "many": 0},
        "checked": {"checked": 20, "spliced": 20},
        "halves": 10} if IDLE else {}


def marks():
    found = set()
    for folder, _, files in os.walk(os.path.join(TOP, "src")):
        for name in files:
            if name.endswith(".c"):
                with open(os.path.join(folder, name),
                          encoding="utf-8") as file:
                    found |= set(MARK.findall(file.read()))
    return found


def one(name):
    at = f"{name}@{LATER[name]}" if name in LATER else name
    with Daemon(CONF % {"keeper": "respawn"} + DOSES, fds=False,
                env={"USHER_CRASH_AT": at}) as usher:
        first = usher.pid
        load = Load(usher, connections=EVERY, streams={"relay": 4, "echo": 2},
                    idle={"relay": 5, **IDLE}, triggers=True, waiters=1,
                    pause=0.001, begin=False, doses=FULL)
        deaths = 1
        if name in TAKING:      # who takes over dies at the mark
            deaths = 2
            load.begin()
            usher.kill()
        wait_for(lambda: usher.call("Status")["crashes"] == deaths,
                 what=f"{deaths} deaths at {name}")
        usher.read_notify()
        usher.ended = None
        assert usher.pid != first
        if name not in TAKING:
            load.begin()
        pause(0.3)
        print(f"{name}: {summary(load.end())} {took(usher)}", flush=True)


if not is_debug():
    skip("fault points are in builds with --enable-debug")
every = sorted(marks() - ELSEWHERE)
assert len(every) > 10 and set(SOME) <= set(every)
for mark in sys.argv[1:] or (every if IDLE else SOME):
    one(mark)
