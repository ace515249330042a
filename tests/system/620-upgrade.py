"""Upgraded again and again under load, nothing is lost: same pid, relayed
bytes whole, every connection answered, every trigger run, waiters told."""
from harness import Daemon
from continuity_lib import EVERY, dose, settled, took, upgrades, warm
from continuity_load import CONF, Load, summary

timeout = 180
full = 3600

with Daemon(CONF % {"keeper": "yes"}, fds=False) as usher:
    pid = usher.pid
    warm(usher, *EVERY)
    load = Load(usher, connections=EVERY, streams={"relay": 20, "echo": 5},
                idle={"relay": 100, "echo": 100}, triggers=True, waiters=3,
                paths=[usher.control, f"{usher.dir}/spool/job",
                       f"{usher.dir}/job"])
    for n in range(dose(100)):
        usher.run("upgrade")
        told = upgrades(usher)
        assert told["count"] == n + 1 and told["backs"] == 0, told
        settled(usher)
        assert usher.exited() is False and usher.pid == pid
    print(summary(load.end()), took(usher))
    assert usher.call("Status")["pid"] == pid
