"""1,000 rolls by SIGHUP (a twentieth in a check) under load, for each
hand-off: no connection refused or cut, never fewer than MIN ready."""
from harness import dose
from roll_storm import storm

timeout = 240
full = 3600

storm(dose(1000), "pass", "pass_worker.py late 0")
storm(dose(1000), "share", "share_worker.py late 0")
