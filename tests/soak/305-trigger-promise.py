"""A million triggers through all five kinds of endpoint, 0 uncovered; and
again while usher is reloaded every 200 ms."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "system"))
from trigger_oracle import fire_all, reload

group = "soak"
timeout = 7200

fire_all(1000000, 50)
fire_all(1000000, 50, reload)
