"""max_requests, max_age, max_memory: a worker is replaced, its clients are
served, never fewer than MIN are there; a replacement that can't be started is
tried again."""
import os
import time

from harness import TESTS, Daemon, receive_all, wait_for

parallel = True
timeout = 120

CONF = """
[defaults]
handoff = pass
workers = 2
settle = 0

[service requests]
listen = unix:@DIR@/requests
exec = /usr/bin/python3 @TESTS@/pass_worker.py reports
reports = yes
max_requests = 10

[service gone]
listen = unix:@DIR@/gone
exec = @DIR@/program
reports = yes
workers = 1
max_requests = 10
respawn_delay = 50ms
respawn_max = 50ms

[service age]
listen = unix:@DIR@/age
exec = /usr/bin/python3 @TESTS@/pass_worker.py hello
max_age = 700ms

[service memory]
listen = unix:@DIR@/memory
exec = /usr/bin/python3 @TESTS@/pass_worker.py fat
max_memory = 48M
"""


def ask(name):
    with usher.client(name) as client:
        data = receive_all(client)
        assert data, f"{name}: cut"
        return data.split()[0]


# Workers come and go until the end.
usher = Daemon(CONF, fds=False)
program = f"{usher.dir}/program"
with open(program, "w", encoding="ascii") as file:
    file.write("#!/bin/sh\nexec /usr/bin/python3 "
               f"{TESTS}/pass_worker.py reports\n")
os.chmod(program, 0o755)
with usher:
    # One at a time, and only when another is there to serve.
    served = set()
    end = time.monotonic() + 30
    while len(served) < 8:
        assert time.monotonic() < end, served
        served.add(ask("requests"))
        workers = usher.service("requests")["workers"]
        assert sum(w["state"] in ("idle", "busy") for w in workers) >= 2, \
            workers
        assert len(workers) <= 4, workers

    end = time.monotonic() + 3
    pids = set()
    while time.monotonic() < end:
        pids.add(ask("age"))
        workers = usher.service("age")["workers"]
        assert sum(w["state"] in ("idle", "busy") for w in workers) >= 2, \
            workers
        time.sleep(0.01)
    assert len(pids) >= 4, pids
    assert "has reached max_age" in usher.log

    before = set(usher.workers("memory"))
    for _ in range(20):
        ask("memory")
    wait_for(lambda: "has reached max_memory" in usher.log)
    wait_for(lambda: not before & set(usher.workers("memory")) or
             ask("memory") and False)

    # A deploy moves the program away for a moment.
    first = ask("gone")
    os.rename(program, program + ".old")
    wait_for(lambda: ask("gone") == first and
             usher.service("gone")["state"] == "degraded")
    os.rename(program + ".old", program)
    wait_for(lambda: str(int(first)) not in
             map(str, usher.workers("gone")) or ask("gone") and False)
