"""Usher is killed, again and again: triggers that wait are not lost, nor half
requests, nor what runs; after every trigger a run begins."""
import os
import signal
import time

from harness import Daemon, receive_all, wait_for
from trigger_lib import lines, put

timeout = 120

CONF = """
[service job]
trigger = fifo:job
trigger = unix:@DIR@/stream
trigger_ack = yes
trigger_timeout = 60s
exec = /bin/sh -c 'echo "begin $USHER_TRIGGER" >> @DIR@/ran;
   while [ ! -e @DIR@/go ]; do sleep 0.02; done; echo end >> @DIR@/ran'

[service later]
trigger = fifo:later
coalesce = 4s
exec = /bin/sh -c 'echo "$USHER_TRIGGER" >> @DIR@/later'
"""

with Daemon(CONF, fds=False) as usher:
    ran = f"{usher.dir}/ran"
    fifo = f"{usher.dir}/spool/job"

    def kill():
        os.kill(usher.pid, signal.SIGKILL)
        usher.proc.wait()
        usher.start()

    put(fifo, b"first\n")
    wait_for(lambda: lines(ran) == ["begin first"])
    # A writer's close ends what is unfinished: this one's has been seen.
    usher.call("Status")
    # Half requests: of a connection, and of a writer that stays.
    client = usher.client(f"unix:{usher.dir}/stream")
    client.sendall(b"conn")
    writer = os.open(fifo, os.O_WRONLY)
    os.write(writer, b"a\nb\na\nfi")
    began = time.monotonic()
    put(f"{usher.dir}/spool/later", b"word\n")
    # What was taken is known by an answer to what came after it.
    with usher.client(f"unix:{usher.dir}/stream") as other:
        other.sendall(b"c\0")
        assert receive_all(other) == b"ACK\0"
    for _ in range(3):
        kill()
    client.sendall(b"ection\n")
    assert receive_all(client) == b"ACK\n"
    client.close()
    os.write(writer, b"fo\n")
    os.close(writer)
    with open(f"{usher.dir}/go", "wb"):
        pass
    wait_for(lambda: {f"begin {word}" for word in
                      ("first", "a", "b", "c", "connection", "fifo")}
             == set(lines(ran)) - {"end"} and
             lines(ran).count("end") == len(lines(ran)) / 2)
    # The run that was alive was watched on, or ran again: its end went
    # unseen before Linux 6.15.
    assert len(lines(ran)) in (12, 14), lines(ran)
    wait_for(lambda: lines(f"{usher.dir}/later") == ["word"])
    assert time.monotonic() - began >= 3.9
    kill()
    put(fifo, b"after\n")
    wait_for(lambda: lines(ran)[-2:] == ["begin after", "end"])
