"""Killed under load while the file on disk is wrong, and while the binary on
disk is none for two seconds: the keeper brings usher back, nothing is lost."""
import os
import shutil
import sys

from harness import BINARY, Daemon, dose, wait_for
from continuity_lib import EVERY, killed, pause, took, warm
from continuity_load import CONF, DOSES, Load, summary

timeout = 180
full = 1200
ROUNDS = int(sys.argv[1]) if sys.argv[1:] else dose(20)


def wrong_file(usher):
    good = usher.conf
    with open(usher.file, "w", encoding="ascii") as file:
        file.write("this is no configuration\n")
    killed(usher)
    wait_for(lambda: "wrong" in (usher.call("Status")["notice"] or ""))
    usher.write(good)
    usher.run("reload")


def broken_binary(usher, path):
    os.rename(path, f"{path}.good")
    with open(path, "w", encoding="ascii") as file:
        file.write("#!/bin/false\n")
    os.chmod(path, 0o755)
    usher.read_notify()
    usher.kill()
    pause(2)
    os.rename(f"{path}.good", path)
    usher.wait_ready()


def daemon(keeper):
    """Its binary is a copy, so that it can be replaced."""
    made = Daemon(CONF % {"keeper": keeper} + DOSES, fds=False, command=[
        "@DIR@/usher", "serve", "-c", "@DIR@/usher.ini"])
    shutil.copy(BINARY, f"{made.dir}/usher")
    return made


with daemon("respawn") as usher:
    warm(usher, *EVERY, "fast", "many")
    load = Load(usher, connections=EVERY, pause=0.02,
                streams={"relay": 10, "echo": 5},
                idle={"echo": dose(8000)}, triggers=True, waiters=2,
                paths=[f"{usher.dir}/spool/job", f"{usher.dir}/job",
                       usher.control],
                doses={"floods": {"fast": dose(2000), "many": dose(2000)},
                       "checked": {"checked": 20, "spliced": 20},
                       "halves": 10})
    for n in range(ROUNDS):
        wrong_file(usher)
        pause(0.2)
        if n % 4 == 0:
            broken_binary(usher, f"{usher.dir}/usher")
            pause(0.2)
    print(ROUNDS, "kills with a wrong file,", (ROUNDS + 3) // 4,
          "with a broken binary:", summary(load.end()), took(usher))
