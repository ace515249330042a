"""Workers are killed under load: only who was being served is cut, all that
waited are served by others.

100,000 connections (a twentieth in a check) to four workers, of which one is
killed every 100 ms.
"""
import os
import signal
import threading
import time

from harness import Daemon, connect, dose

timeout = 180
full = 3600

CONF = """
[service hello]
listen = unix:@DIR@/hello
exec = /usr/bin/python3 @TESTS@/pass_worker.py slow 0.002
handoff = pass
workers = 4
queue_limit = 64
"""

CONNECTIONS = dose(100000)
served = cut = kills = 0
lock = threading.Lock()
todo = CONNECTIONS


def one_client(address):
    global todo, served, cut
    while True:
        with lock:
            if todo == 0:
                return
            todo -= 1
        data = b""
        with connect(address, 60) as client:
            try:
                while not data.endswith(b"\n"):
                    part = client.recv(100)
                    if not part:
                        break
                    data += part
            except ConnectionResetError:
                pass
        with lock:
            if data:
                served += 1
            else:
                cut += 1


with Daemon(CONF) as usher:
    address = usher.expand(usher.address("hello"))
    threads = [threading.Thread(target=one_client, args=(address,))
               for _ in range(20)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.1)
        pids = usher.workers("hello")
        if pids:
            try:
                os.kill(pids[0], signal.SIGKILL)
                kills += 1
            except ProcessLookupError:
                pass
    for thread in threads:
        thread.join()
    print(f"{served} served, {cut} cut by {kills} kills")
    assert served + cut == CONNECTIONS
    # A killed worker held one at most.
    assert cut <= kills, (cut, kills)
    assert kills > 3, kills
    state = usher.service("hello")
    assert state["served"] == CONNECTIONS, state
    assert sum(state["refused"].values()) == 0, state
