"""Three seconds of the storm of reloads (reload_storm.py); soak has sixty."""
import os

from reload_storm import storm

timeout = 240

storm(3, os.getpid())
