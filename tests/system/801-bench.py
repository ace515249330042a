"""The quick forms of the figures, judged by bars ten times as wide: whatever
is that far from what is to be reached is broken, not slow."""
import os
import subprocess
import sys

from harness import BINARY, BUILD, TOP, cannot

plain = True
timeout = 400

TABLES = """accept queue batch spawn share bulk messages rate idle triggers loop
services reload control""".split()

# An image with sanitizers takes longer to start than the whole gap may be.
with open(BINARY, "rb") as file:
    if b"__asan_init" not in file.read():
        TABLES.append("upgrade")

# What the others have is told by `make bench`, which needs their programs.
done = subprocess.run(
    [sys.executable, os.path.join(TOP, "tests", "bench", "run"), "--quick",
     "--bounds=10", "--again=2", "--root=none", f"--usher={BINARY}",
     f"--programs={BUILD}/tests/bench", *TABLES], check=False)
if done.returncode == 76:
    cannot("no network namespace of its own")
sys.exit(done.returncode)
