"""Workers on demand: none until the first arrival, many at once when many
wait, one that serves one and ends is replaced at once, idle ones are let go.
"""
import time

from harness import Daemon, wait_for

parallel = True
timeout = 120

CONF = """
[service none]
listen = unix:@DIR@/none
exec = /usr/bin/python3 @TESTS@/pass_worker.py echo
handoff = pass
workers = 0-30
idle_timeout = 500ms

[service once]
listen = unix:@DIR@/once
exec = /usr/bin/python3 @TESTS@/pass_worker.py once
handoff = pass
workers = 2

"""

with Daemon(CONF) as usher:
    assert usher.workers("none") == []
    assert usher.service("none")["state"] == "running"
    began = time.monotonic()
    with usher.client("none") as client:
        assert client.recv(100)
        assert len(usher.workers("none")) == 1
    first = time.monotonic() - began

    # Thirty that stay: not one after the other.
    began = time.monotonic()
    clients = [usher.client("none") for _ in range(30)]
    pids = {client.recv(100) for client in clients}
    took = time.monotonic() - began
    assert len(pids) == 30, pids
    assert len(usher.workers("none")) == 30
    print(f"first after {first:.3f} s, thirty after {took:.3f} s")
    # One more waits in the queue until somebody leaves.
    late = usher.client("none")
    wait_for(lambda: usher.service("none")["waiting"] == 1)
    late.settimeout(0.3)
    try:
        late.recv(100)
        raise AssertionError("there was no worker for it")
    except TimeoutError:
        late.settimeout(20)
    clients.pop().close()
    assert late.recv(100)
    late.close()
    for client in clients:
        client.close()
    wait_for(lambda: usher.workers("none") == [], 60)

    seen = set()
    began = time.monotonic()
    for _ in range(40):
        with usher.client("once") as client:
            seen.add(client.recv(100).split()[0])
    assert len(seen) == 40, seen
    # Were each taken for a failure this would take a minute and more.
    assert time.monotonic() - began < 30
    assert "started anew in" not in usher.log, usher.log

    # exit 0 is no failure, but it did no work either: MIN is kept.
    wait_for(lambda: len(usher.workers("once")) == 2)
