"""After every trigger a run begins: 8 writers, five kinds of endpoint, runs
that take random times and fail; the same while usher is reloaded."""
from trigger_oracle import fire_all, reload

group = "core"
timeout = 300

fire_all(25000, 5)
fire_all(25000, 5, reload)
