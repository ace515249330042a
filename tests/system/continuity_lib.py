"""Steps that several tests of continuity take."""
import os
import re
import time

from harness import BINARY, BUILD, children, dose, wait_for

EVERY = ("pass", "reports", "spawn", "share")


def is_debug():
    with open(os.path.join(BUILD, "config.h"), encoding="ascii") as file:
        return re.search(r"^#define USHER_DEBUG 1", file.read(),
                         re.M) is not None


def warm(usher, *names):
    """Until each of these has served once."""
    from harness import connect, receive_all
    for name in names:
        def served(name=name):
            with connect(usher.address(name)) as sock:
                return receive_all(sock)
        wait_for(served, what=f"{name} serving")


def upgrades(usher):
    return usher.call("Status")["upgrade"]


def settled(usher):
    """No upgrade is under way or on probation."""
    wait_for(lambda: upgrades(usher)["phase"] == 0, 30, "the probation's end")


def next_ready(usher, deadline=30):
    """Another usher than the dead one is ready: usher.pid is its."""
    wait_for(lambda: "READY=1" in usher.read_notify(), deadline, "READY=1")
    usher.ended = None


def killed(usher, deadline=30):
    """kill -9; the keeper brings the next one, which is ready."""
    usher.read_notify()
    usher.kill()
    next_ready(usher, deadline)


def keeper_of(pid):
    """The keeper's pid; it says its name a moment after it was made."""
    def name_of(child):
        try:
            with open(f"/proc/{child}/comm", encoding="ascii") as file:
                return file.read().strip()
        except OSError:
            return ""

    return wait_for(lambda: [p for p in children(pid)
                             if name_of(p) == "usher-keeper"],
                    what="a keeper")[0]


def took(usher):
    """How long each take-over was, in ms, as the log tells."""
    return [float(ms) for ms in re.findall(r"took over in ([\d.]+) ms",
                                           usher.log)]


def pause(seconds):
    """Time in which the load goes on: not luck, the dose."""
    time.sleep(seconds)


def usher_binary():
    return BINARY
