"""1,000 children that end at once leave no zombie; a storm of mixed signals
does no harm; each child's end is noticed when the signals fall together."""
import os
import random
import signal
import threading

from harness import (Daemon, children, connect, dose, process_state,
                     receive_all, wait_for)

plain = True
timeout = 240
full = 1200

CONF = """
[service gate]
listen = unix:@DIR@/gate backlog=2048
exec = /bin/sh -c 'read word < @DIR@/fifo'
max_connections = 1000

[service hello]
listen = unix:@DIR@/hello
exec = /bin/echo hello

[service pass]
listen = unix:@DIR@/pass
exec = /usr/bin/python3 @TESTS@/pass_worker.py hello
handoff = pass
workers = 2
"""
CHILDREN = 1000
SIGNALS = dose(100000)
# What usher handles, what it ignores, what it never heard of.
KINDS = [signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE, signal.SIGWINCH,
         signal.SIGURG, signal.SIGCONT]


def no_zombies():
    return all(process_state(pid) != "Z" for pid in children(usher.pid))


usher = Daemon(CONF)
os.mkfifo(f"{usher.dir}/fifo")
with usher:
    # All wait at one gate, and are let go in one moment.
    count = CHILDREN
    clients = [usher.client("gate") for _ in range(count)]
    wait_for(lambda: usher.service("gate")["busy"] == count, 120)
    gate = os.open(f"{usher.dir}/fifo", os.O_WRONLY)
    os.write(gate, b"\n" * count)
    for client in clients:
        receive_all(client)
        client.close()
    os.close(gate)
    wait_for(lambda: usher.service("gate")["busy"] == 0, 60)
    wait_for(no_zombies)
    assert usher.service("gate")["served"] == count

    # Signals without end, and clients meanwhile.
    done = threading.Event()

    def storm():
        choose = random.Random(1)
        for _ in range(SIGNALS):
            usher.signal(choose.choice(KINDS))
        done.set()
    thread = threading.Thread(target=storm)
    thread.start()
    asked = 0
    while not done.is_set() or asked < 20:
        for name, words in (("hello", b"hello\n"), ("pass", None)):
            with usher.client(name) as client:
                answer = receive_all(client)
            assert answer == words if words else answer, (name, answer)
        asked += 1
    thread.join()
    wait_for(no_zombies)
    assert len(usher.workers("pass")) == 2
    assert usher.service("pass")["failures"] == 0
    print(f"{SIGNALS} signals, {asked} rounds of clients meanwhile")
