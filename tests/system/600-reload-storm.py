"""Three seconds of the storm of reloads (reload_storm.py); soak has sixty."""
import os

from reload_storm import storm

timeout = 240

storm(float(os.environ.get("USHER_STORM", "3")),
      int(os.environ.get("USHER_SEED", "0")) or os.getpid())
