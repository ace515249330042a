"""Who takes over is killed itself, wherever that is: what was half read, what
waits and what runs is with the one after, and closes are not held back."""
import os

from harness import (Daemon, descendants, process_state,
                     receive_all, skip, wait_for)
from continuity_lib import is_debug, next_ready
from trigger_lib import lines, put

timeout = 120

CONF = """
[usher]
keeper = yes

[service job]
trigger = fifo:job
trigger = unix:@DIR@/stream
trigger_ack = yes
trigger_timeout = 60s
exec = /bin/sh -c 'echo "begin $USHER_TRIGGER" >> @DIR@/ran;
   while [ ! -e @DIR@/go ]; do sleep 0.02; done; echo end >> @DIR@/ran'
"""
MARKS = ("received", "state-mapped", "revived", "taken-keeper", "taken-ready",
         "taken-resumed", "taken-turn", "taken-dismissed")


def keepers(usher):
    found = []
    for pid in set(descendants()) - usher.before:
        try:
            with open(f"/proc/{pid}/comm", encoding="ascii") as file:
                name = file.read()
        except OSError:
            continue
        if name == "usher-keeper\n" and process_state(pid) not in ("Z", "X"):
            found.append(pid)
    return found


def one(mark):
    with Daemon(CONF, fds=False) as usher:
        ran = f"{usher.dir}/ran"
        fifo = f"{usher.dir}/spool/job"
        put(fifo, b"first\n")
        wait_for(lambda: lines(ran) == ["begin first"])
        # A writer's close ends what is unfinished: this one's has been seen.
        usher.call("Status")
        client = usher.client(f"unix:{usher.dir}/stream")
        client.sendall(b"conn")
        writer = os.open(fifo, os.O_WRONLY)
        os.write(writer, b"a\nb\na\nfi")
        with usher.client(f"unix:{usher.dir}/stream") as other:
            other.sendall(b"c\0")
            assert receive_all(other) == b"ACK\0"
        usher.kill()
        usher.extra_env = {"USHER_CRASH_ALWAYS": mark}
        usher.start(ready=False)
        usher.wait_exit()
        usher.extra_env = {}
        usher.start(ready=False)
        next_ready(usher)
        client.sendall(b"ection\n")
        assert receive_all(client) == b"ACK\n", mark
        client.close()
        os.write(writer, b"fo\n")
        os.close(writer)
        with open(f"{usher.dir}/go", "wb"):
            pass
        want = {f"begin {word}" for word in
                ("first", "a", "b", "c", "connection", "fifo")}
        try:
            wait_for(lambda: want == set(lines(ran)) - {"end"} and
                     lines(ran).count("end") == len(lines(ran)) / 2)
        except AssertionError:
            print(mark, lines(ran))
            raise
        wait_for(lambda: len(keepers(usher)) == 1, what="one keeper")


if not is_debug():
    skip("fault points are in builds with --enable-debug")
for each in MARKS:
    one(each)
    print(each)
