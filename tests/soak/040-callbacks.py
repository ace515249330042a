"""No callback takes long: the system tests once more on a debug build without
sanitizers, which says which callback took over 1 ms of its own.

That is a bound of its own time: a machine with much else to do adds to it, so
it should have nothing else.
"""
import os
import re
import subprocess
import tempfile

from harness import TOP

timeout = 3600
BOUND_US = 1000

with tempfile.TemporaryDirectory(prefix="usher-debug-") as build:
    for command in ([f"{TOP}/configure", "--silent", "--enable-debug"],
                    ["make", "-s", "-j2", "programs"]):
        subprocess.run(command, cwd=build, check=True)
    # Without root or network it is fewer tests, and as good.
    done = subprocess.run(
        [f"{TOP}/tests/run", f"--build={build}", "--group=core"],
        env={**os.environ, "USHER_SLOW_US": str(BOUND_US), "CI": ""},
        stdout=subprocess.PIPE, text=True, check=False)
    counted = re.search(r"^(\d+) passed, (\d+) failed", done.stdout, re.M)
    assert counted and int(counted[1]) > 20, done.stdout
    slow = sorted(set(re.findall(r"a callback was slow: (.*)", done.stdout)))
    print(f"{counted[0]}; over {BOUND_US} us: {len(slow)}")
    # Others count lines of a log that has more of them now.
    assert not slow, "\n".join(slow)
