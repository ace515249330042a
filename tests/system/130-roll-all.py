"""Every service rolled again and again under load: no connection refused or
cut, no trigger lost, whoever waits is told."""
import sys

from harness import Daemon, dose, wait_for
from continuity_lib import EVERY, warm
from continuity_load import CONF, DOSES, Load, summary

timeout = 180
full = 3600
ROLLS = int(sys.argv[1]) if sys.argv[1:] else 100 if dose(100) == 100 else 1
ROLLED = ("pass", "reports", "share", "spawn", "job", "half", "held")

with Daemon(CONF % {"keeper": "yes"} + DOSES, fds=False) as usher:
    warm(usher, *EVERY)
    before = {name: usher.service(name)["generation"] for name in ROLLED}
    load = Load(usher, connections=EVERY, streams={"relay": 10},
                idle={"echo": 50}, triggers=True, waiters=3, pause=0.02,
                doses={"floods": {"pass": dose(1000), "share": dose(1000),
                                  "spawn": dose(200)},
                       "halves": 10, "held": 5})
    for n in range(ROLLS):
        for name in ROLLED:
            usher.run("roll", "--wait", name)
    told = load.end()
    print(ROLLS, "rolls of each:", summary(told))
    for name in EVERY:
        state = usher.service(name)
        assert sum(state["refused"].values()) == 0, state["refused"]
        wait_for(lambda name=name:
                 usher.service(name)["state"] == "running")
    assert usher.service("pass")["generation"] == before["pass"] + ROLLS
