"""usher is killed at random moments under load; its keeper brings the next
one, and nothing that was accepted, queued, relayed or triggered is lost."""
import random

from harness import Daemon, process_state
from continuity_lib import EVERY, dose, killed, pause, took, warm
from continuity_load import CONF, Load, summary

timeout = 180
full = 3600

with Daemon(CONF % {"keeper": "respawn"}, fds=False) as usher:
    warm(usher, *EVERY)
    workers = usher.workers("pass")
    load = Load(usher, connections=EVERY, streams={"relay": 20, "echo": 5},
                idle={"relay": 100, "echo": 100}, triggers=True, waiters=2,
                paths=[f"{usher.dir}/spool/job", f"{usher.dir}/job",
                       usher.control])
    for n in range(dose(100)):
        pause(random.uniform(0.2, 1.5))
        dead = usher.pid
        killed(usher)
        assert usher.pid != dead
    assert usher.call("Status")["crashes"] == dose(100)
    assert set(workers) <= set(usher.workers("pass"))
    pause(0.3)
    print(summary(load.end()), took(usher))
    assert all(process_state(pid) not in ("", "Z") for pid in workers)
