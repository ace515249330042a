"""Upgraded again and again under load, nothing is lost: same pid, relayed
bytes whole, every connection answered, every trigger run, waiters told, who
watches told and let in again."""
import sys

from harness import Daemon
from continuity_lib import EVERY, dose, settled, took, upgrades, warm
from continuity_load import CONF, DOSES, Load, summary

timeout = 180
full = 3600
FULL = dose(100) == 100
UPGRADES = int(sys.argv[1]) if sys.argv[1:] else 100 if FULL else 3

with Daemon(CONF % {"keeper": "yes"} + DOSES, fds=False) as usher:
    pid = usher.pid
    warm(usher, *EVERY, "fast", "many")
    load = Load(usher, connections=EVERY, pause=0.02,
                streams={"relay": 20, "echo": 5},
                idle={"relay": 100, "echo": 100}, triggers=True, waiters=3,
                paths=[usher.control, f"{usher.dir}/spool/job",
                       f"{usher.dir}/job"],
                doses={"floods": {"fast": dose(2400), "many": dose(2400),
                                  "spawn": dose(200)},
                       "checked": {"checked": dose(1000), "spliced": 20},
                       "monitors": 3, "halves": 10, "held": dose(50)})
    for n in range(UPGRADES):
        usher.run("upgrade")
        told = upgrades(usher)
        assert told["count"] == n + 1 and told["backs"] == 0, told
        settled(usher)
        assert usher.exited() is False and usher.pid == pid
    told = load.end()
    print(UPGRADES, "upgrades:", summary(told), took(usher))
    assert usher.call("Status")["pid"] == pid
    assert told["monitors"]["done"] == 3 * (UPGRADES + 1)
