"""usher is killed at random moments under load; its keeper brings the next
one, and nothing that was accepted, queued, relayed or triggered is lost."""
import random
import sys

from harness import Daemon, process_state
from continuity_lib import EVERY, dose, killed, pause, took, warm
from continuity_load import CONF, DOSES, Load, summary

timeout = 180
full = 3600
KILLS = int(sys.argv[1]) if sys.argv[1:] else dose(100)
RATE = 0 if dose(100) == 100 else 300   # as many as can be; a check has others

with Daemon(CONF % {"keeper": "respawn"} + DOSES, fds=False) as usher:
    warm(usher, *EVERY, "fast", "many")
    workers = usher.workers("pass") + usher.workers("fast")
    load = Load(usher, connections=EVERY, pause=0.02,
                streams={"relay": 20, "echo": 5},
                idle={"relay": 100, "echo": dose(8000)}, triggers=True,
                waiters=2,
                paths=[f"{usher.dir}/spool/job", f"{usher.dir}/job",
                       usher.control],
                doses={"floods": {"fast": RATE, "many": RATE, "spawn": 20},
                       "checked": {"checked": 20, "spliced": 20},
                       "monitors": 3, "halves": 10, "held": dose(50)})
    for n in range(KILLS):
        pause(random.uniform(0.2, 1.5))
        dead = usher.pid
        killed(usher)
        assert usher.pid != dead
    assert usher.call("Status")["crashes"] == KILLS
    assert set(workers) <= {*usher.workers("pass"), *usher.workers("fast")}
    pause(0.3)
    # Who had asked to watch, but was not answered yet, is told by the end of
    # the connection as those are who watch.
    told = load.end(allow={"monitors": 3 * KILLS})
    print(KILLS, "kills:", summary(told), took(usher))
    assert all(process_state(pid) not in ("", "Z") for pid in workers)
