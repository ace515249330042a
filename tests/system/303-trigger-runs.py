"""When runs start: coalesced, rated, each so often, again after a failure;
never merged into one that is running."""
import os
import socket
import time

from harness import Daemon, wait_for
from trigger_lib import lines, put

group = "core"
parallel = True

CONF = """
[service slow]
trigger = fifo:slow
exec = /bin/sh -c 'echo "begin $(cat)" >> @DIR@/slow;
   while [ ! -e @DIR@/go ]; do sleep 0.01; done; echo end >> @DIR@/slow'

[service coalesce]
trigger = fifo:coalesce
coalesce = 400ms
exec = /bin/sh -c 'echo "$(cat)" >> @DIR@/coalesce'

[service rate]
trigger = fifo:rate
trigger = unix-dgram:@DIR@/rate-datagrams
trigger = unix:@DIR@/rate-stream
rate = 2/s burst=2
exec = /bin/sh -c 'echo "$(cat)" >> @DIR@/rate'

[service every]
every = 400ms
exec = /bin/sh -c 'echo tick >> @DIR@/every'

[service retry]
trigger = fifo:retry
trigger_retry = 2
exec = /bin/sh -c 'echo "$USHER_TRIGGER_ID" >> @DIR@/retry; exit 3'

[service hang]
trigger = fifo:hang
max_age = 300ms
exec = /bin/sh -c 'echo hang >> @DIR@/hang; exec sleep 1000'

[service full]
trigger = fifo:full
trigger = unix:@DIR@/full
trigger_queue = 3
exec = /bin/sh -c 'echo "$(cat)" >> @DIR@/full-ran;
   while [ ! -e @DIR@/full-go ]; do sleep 0.01; done'

[service two]
trigger = fifo:two
workers = 2
exec = /bin/sh -c 'echo "$(cat)" >> @DIR@/two;
   while [ ! -e @DIR@/two-go ]; do sleep 0.01; done'
"""


def touch(path):
    with open(path, "w", encoding="utf-8"):
        pass


with Daemon(CONF) as usher:
    def trigger(number, datagram):
        kind = socket.SOCK_DGRAM if datagram else socket.SOCK_STREAM
        with socket.socket(socket.AF_UNIX, kind) as sock:
            sock.connect(f"{usher.dir}/rate-"
                         f"{'datagrams' if datagram else 'stream'}")
            sock.send(b"%d\n" % number)

    def fifo(name):
        return f"{usher.dir}/spool/{name}"

    def ran(name):
        return lines(f"{usher.dir}/{name}")

    # Never merged into one that runs, and one waits for each message.
    put(fifo("slow"), b"a\n")
    wait_for(lambda: ran("slow") == ["begin a"])
    put(fifo("slow"), b"a\na\nb\na\nb\n")
    # What has been taken is known by what was taken after it.
    put(fifo("two"), b"x\n")
    wait_for(lambda: ran("two") == ["x"])
    touch(f"{usher.dir}/go")
    wait_for(lambda: len(ran("slow")) == 6)
    assert ran("slow") == ["begin a", "end", "begin a", "end", "begin b",
                           "end"]

    # At most `workers` at a time.
    put(fifo("two"), b"y\nz\n")
    wait_for(lambda: ran("two") == ["x", "y"])
    assert ran("two") == ["x", "y"]
    touch(f"{usher.dir}/two-go")
    wait_for(lambda: ran("two") == ["x", "y", "z"])

    # Coalesced: within the time they are one, and it starts at the latest
    # so long after the first.
    began = time.monotonic()
    put(fifo("coalesce"), b"same\n")
    count = 0
    while not ran("coalesce"):
        put(fifo("coalesce"), b"same\n")
        count += 1
        assert time.monotonic() - began < 20
        time.sleep(0.01)
    assert time.monotonic() - began >= 0.39
    put(fifo("coalesce"), b"same\n")
    wait_for(lambda: len(ran("coalesce")) == 2)
    assert count > 2

    # Rated: two at once, then one each half second.
    began = time.monotonic()
    put(fifo("rate"), b"1\n2\n3\n4\n")
    wait_for(lambda: ran("rate") == ["1", "2", "3", "4"])
    assert time.monotonic() - began >= 0.95, time.monotonic() - began

    # So it is through every kind of door: nothing is refused.
    began = time.monotonic()
    for number in range(5, 11):
        trigger(number, datagram=number % 2)
    wait_for(lambda: len(ran("rate")) == 10)
    assert sorted(ran("rate"), key=int) == [str(n) for n in range(1, 11)]
    assert time.monotonic() - began >= 1.95, time.monotonic() - began
    assert usher.service("rate")["refused"] == {}

    # Each so often.
    wait_for(lambda: len(ran("every")) >= 3)

    # Tried again, with a growing delay; all three are one trigger.
    began = time.monotonic()
    put(fifo("retry"), b"word\n")
    wait_for(lambda: len(ran("retry")) == 3)
    assert time.monotonic() - began >= 2.9
    assert len(set(ran("retry"))) == 1
    usher.wait_log(r"run \d+ for 'word' exited with status 3; try 1 of 2 "
                   r"follows in 1s")
    usher.wait_log(r"run \d+ for 'word' exited with status 3; try 2 of 2 "
                   r"follows in 2s")
    usher.wait_log(r"run \d+ for 'word' exited with status 3$")

    # One that hangs is ended.
    put(fifo("hang"), b"h\n")
    usher.wait_log(r"run \d+ for 'h' was killed by signal 15")

    # Past trigger_queue nothing is read: a writer waits in the kernel.
    put(fifo("full"), b"0\n")
    wait_for(lambda: ran("full-ran") == ["0"])
    put(fifo("full"), b"".join(b"%d\n" % i for i in range(1, 9)))
    with usher.client(f"unix:{usher.dir}/full") as client:
        client.sendall(b"9\0")
        client.settimeout(0.5)
        try:
            client.recv(1)
            assert False, "taken, over trigger_queue"
        except TimeoutError:
            pass
        touch(f"{usher.dir}/full-go")
        client.settimeout(20)
        assert client.recv(1) == b""
    wait_for(lambda: len(ran("full-ran")) == 10)
    assert sorted(ran("full-ran")) == [str(i) for i in range(10)]
    # What was taken when usher is told to stop still runs.
    os.unlink(f"{usher.dir}/go")
    put(fifo("slow"), b"last\n")
    wait_for(lambda: ran("slow")[6:] == ["begin last"])
    put(fifo("slow"), b"very last\n")
    touch(f"{usher.dir}/go")
    assert usher.stop() == 0
    assert ran("slow")[-2:] == ["begin very last", "end"], ran("slow")
