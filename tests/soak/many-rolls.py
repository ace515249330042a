"""A thousand rolls by SIGHUP under steady load, for each hand-off."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "system"))
from roll_storm import storm

group = "soak"
timeout = 3600

storm(1000, "pass", "pass_worker.py late 0")
storm(1000, "share", "share_worker.py late 0")
