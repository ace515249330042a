"""The oracle of the promise: after every trigger a run begins.

Each writer has a number, counts up in a file that all can see, and then fires
a trigger by any of the five kinds. A run writes down, when it begins, its
message and all numbers that it sees. A trigger is covered by a run with its
message that saw its number: it began after the trigger. Runs take random
times and fail now and then.
"""
import os
import random
import signal
import socket
import sys
import time

from harness import Daemon, popen, stopped, wait_for
from trigger_lib import lines

WRITERS = 8
WIDTH = 11

CONF = """
[service job]
trigger = fifo:job
trigger = unix:@DIR@/stream backlog=128
trigger = unix-seqpacket:@DIR@/packet backlog=128
trigger = unix-dgram:@DIR@/datagram
trigger = tcp:127.0.0.1:@PORT@
workers = 3
trigger_timeout = %s
exec = /bin/sh -c 'printf "%%s %%s\\n" "$USHER_TRIGGER" "$(tr "\\n" " " < @DIR@/seen)" >> @DIR@/ran;
   case $USHER_TRIGGER_ID in
   *[05]) sleep 0.02;;
   *7) exit 7;;
   *9) kill -9 $$;;
   esac'
"""


def message_of(writer, number):
    """Half of them are one message, a quarter a writer's own; the others
    change after some, so that the last of each has no later one that a run
    would come for anyway."""
    if number % 2:
        return "all"
    return f"w{writer}" + (f".{number // 40}" if number % 4 else "")


def fire(kind, directory, port, fifo, message):
    data = message.encode()
    if kind == 0:
        os.write(fifo, data + random.choice((b"\n", b"\0", b"\r\n")))
        return
    if kind == 4:
        sock = socket.create_connection(("127.0.0.1", port))
    else:
        types = (socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM)
        sock = socket.socket(socket.AF_UNIX, types[kind - 1])
        sock.connect(directory + ("/stream", "/packet", "/datagram")[kind - 1])
    with sock:
        sock.sendall(data + random.choice((b"\n", b"\0", b"", b"\n\0")))


def write(directory, port, writer, first, last):
    """One writer: its triggers FIRST to LAST."""
    seen = os.open(f"{directory}/seen", os.O_WRONLY)
    fifo = os.open(f"{directory}/spool/job", os.O_WRONLY)
    for number in range(first, last + 1):
        os.pwrite(seen, b"%010d\n" % number, writer * WIDTH)
        fire(random.randrange(5), directory, port, fifo,
             message_of(writer, number))


class Oracle:
    """Reads what runs wrote, and what of it covers what."""

    def __init__(self, usher):
        self.usher = usher
        self.file = open(f"{usher.dir}/ran", "a+", encoding="ascii")
        self.file.seek(0)
        self.rest = ""
        self.best = {}          # message to the highest seen of each writer
        self.runs = 0

    def read(self):
        *whole, self.rest = (self.rest + self.file.read()).split("\n")
        for line in whole:
            message, *numbers = line.split()
            assert len(numbers) == WRITERS, line
            self.runs += 1
            best = self.best.setdefault(message, [0] * WRITERS)
            for writer, number in enumerate(numbers):
                best[writer] = max(best[writer], int(number))

    def uncovered(self, ends):
        """Those of ENDS, see ends_of, that no run covers."""
        self.read()
        return [(writer, message, number) for writer, message, number in ends
                if self.best.get(message, [0] * WRITERS)[writer] < number]


def ends_of(first, last):
    """Of the triggers from FIRST to LAST of each writer the last with each
    message: what covers it covers all before it."""
    return [(writer, message, number) for writer in range(WRITERS)
            for message, number in {message_of(writer, n): n
                                    for n in range(first, last + 1)}.items()]


def fire_all(total, rounds, disturb=None, conf=CONF % "10s", every=0.2):
    """TOTAL triggers in ROUNDS; after each all must be covered. DISTURB is
    called with the daemon and a count all the while."""
    each = total // WRITERS // rounds
    with Daemon(conf, fds=False) as usher:
        with open(f"{usher.dir}/seen", "wb") as file:
            file.write(b"%010d\n" % 0 * WRITERS)
        oracle = Oracle(usher)
        count = alone = 0
        for turn in range(rounds):
            first, last = turn * each + 1, (turn + 1) * each
            writers = [popen([sys.executable, os.path.abspath(__file__),
                              usher.dir, str(usher.port()), str(writer),
                              str(first), str(last)])
                       for writer in range(WRITERS)]
            due = time.monotonic() + every

            def done():
                nonlocal due, count
                usher.read_notify()
                if disturb and time.monotonic() >= due:
                    disturb(usher, count)
                    count += 1
                    due = time.monotonic() + every
                return all(w.poll() is not None for w in writers)

            wait_for(done, 600, "the writers")
            assert [stopped(w) for w in writers] == [0] * WRITERS
            ends = ends_of(first, last)
            wait_for(lambda: not oracle.uncovered(ends), 120,
                     f"all covered, round {turn}")
            alone += len(ends)
        print(f"{each * rounds * WRITERS} triggers, {alone} of them the last "
              f"of a message, {oracle.runs} runs, 0 uncovered" +
              (f", disturbed {count} times" if disturb else ""))
        if disturb:
            assert count > 0
        oracle.file.close()
        assert lines(f"{usher.dir}/ran")


def reload(usher, count):
    """Another setting each time, and SIGHUP."""
    usher.write(CONF % ("10s" if count % 2 else "9s"))
    usher.signal(signal.SIGHUP)


if __name__ == "__main__":
    write(sys.argv[1], *(int(word) for word in sys.argv[2:]))
