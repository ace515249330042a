"""An upgrade to what can't go on, in rehearsal and after one that went well:
the old image serves on, nothing is lost, and who asked is told why."""
import os
import subprocess

from harness import BINARY, Daemon, wait_for
from continuity_lib import EVERY, is_debug, settled, upgrades, warm
from continuity_load import CONF, Load, summary

timeout = 240

# What it does when it rehearses, and when it is executed.
IMAGE = """
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[2], "--rehearse")) {
		%s;
		puts("ok");
		return 0;
	}
	%s;
	return 1;
}
"""
BLOCK = ("sigset_t s; sigfillset(&s); sigprocmask(SIG_BLOCK, &s, NULL); "
         "signal(SIGALRM, SIG_IGN); for (;;) pause()")
REHEARSED = {                   # what who asked is told
    "exit": ("exit(3)", "exited with status 3"),
    "crash": ("abort()", "SIGABRT"),
    "hang": ("for (;;) pause()", "hung in the rehearsal"),
    "mute": ("return 0", "rehearsal"),
    "told": ('puts("it can\'t read the state: too new"); exit(1)', "too new"),
}
EXECUTED = {
    "exit": "exit(3)",
    "clean-exit": "exit(0)",
    "crash": "raise(SIGSEGV)",
    "hang": "for (;;) pause()",
    "deaf": BLOCK,
    "closes": "for (int i = 0; i < 100000; i++) if (i != 3) close(i); exit(1)",
}


def compiled(usher, name, rehearsal, execution):
    path = f"{usher.dir}/image-{name}"
    subprocess.run([os.environ.get("CC", "cc"), "-x", "c", "-o", path, "-"],
                   input=IMAGE % (rehearsal, execution), text=True,
                   check=True)
    return path


def refused(usher, path, *words):
    """The upgrade fails, and says why; who serves on has the state."""
    done = usher.run("upgrade", "--to", path, status=1)
    text = done.stdout + done.stderr
    assert all(word in text for word in words), (words, text)
    return text


with Daemon(CONF.replace("10s", "500ms") % {"keeper": "yes"},
            fds=False) as usher:
    pid = usher.pid
    warm(usher, *EVERY)
    load = Load(usher, connections=EVERY, streams={"relay": 5, "echo": 2},
                idle={"relay": 20}, triggers=True, waiters=1, pause=0.01)

    # Before anything has happened: same process.
    with open(f"{usher.dir}/text", "w", encoding="ascii") as file:
        file.write("no program\n")
    os.chmod(f"{usher.dir}/text", 0o755)
    refused(usher, f"{usher.dir}/text", "can't be executed")
    refused(usher, f"{usher.dir}/nothing", "No such file")
    for name, (code, word) in REHEARSED.items():
        refused(usher, compiled(usher, f"r-{name}", code, "exit(9)"), word)
    assert usher.call("Status")["pid"] == pid
    assert upgrades(usher)["backs"] == 0

    # After a rehearsal that went well: another process, the same state.
    backs = 0
    for name, code in EXECUTED.items():
        refused(usher, compiled(usher, f"x-{name}", "", code), "goes on")
        backs += 1
        assert upgrades(usher)["backs"] == backs, (name, upgrades(usher))
        usher.read_notify()
        assert usher.call("Status")["pid"] == usher.pid, name

    # And a good one still goes.
    now = usher.pid
    usher.run("upgrade", "--to", BINARY)
    settled(usher)
    assert upgrades(usher)["ok"] and usher.call("Status")["pid"] == now
    usher.ended = None
    print(summary(load.end()))

if is_debug():
    for mark in ("rehearse", "upgrade-handed", "state-mapped", "revived",
                 "taken-keeper", "upgrade-ready", "taken-turn"):
        with Daemon(CONF % {"keeper": "respawn"}, fds=False,
                    env={"USHER_CRASH_AT": mark}) as usher:
            load = Load(usher, connections=EVERY, streams={"relay": 3},
                        triggers=True, waiters=1, pause=0.005)
            usher.run("upgrade", status=1)
            wait_for(lambda u=usher: u.call("Status"))
            settled(usher)
            usher.read_notify()
            usher.ended = None
            print(mark, summary(load.end()))
