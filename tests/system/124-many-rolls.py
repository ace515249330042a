"""Fifty rolls by SIGHUP under load, for each hand-off; soak has a thousand."""
from roll_storm import storm

timeout = 240

storm(50, "pass", "pass_worker.py late 0")
storm(50, "share", "share_worker.py late 0")
