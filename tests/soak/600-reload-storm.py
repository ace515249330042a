"""Sixty seconds of the storm of reloads, then other seeds for ten each."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "system"))
from reload_storm import storm

group = "soak"
timeout = 3600

storm(60, 1)
for seed in range(2, 5):
    storm(10, seed)
