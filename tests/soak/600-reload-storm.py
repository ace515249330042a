"""Sixty seconds of the storm of reloads, and six times ten."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "system"))
from reload_storm import storm

group = "soak"
timeout = 3600

storm(60, 1)
for seed in range(2, 8):
    storm(10, seed)
