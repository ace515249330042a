"""Workers that exit at once, can't be executed or never read their queue:
each is throttled, said once, and the service beside them is not harmed."""
import time

from harness import Daemon, children, receive_all, wait_for

parallel = True
timeout = 120

CONF = """
[service good]
listen = unix:@DIR@/good
exec = /usr/bin/python3 @TESTS@/pass_worker.py hello
handoff = pass

[service exits]
listen = unix:@DIR@/exits
exec = /usr/bin/python3 @TESTS@/pass_worker.py exit 3
handoff = pass

[service leaves]
listen = unix:@DIR@/leaves
exec = /usr/bin/python3 @TESTS@/pass_worker.py exit 0
handoff = pass

[service script]
listen = unix:@DIR@/script
exec = @DIR@/script.sh
handoff = pass

[service asleep]
listen = unix:@DIR@/asleep
exec = /usr/bin/python3 @TESTS@/pass_worker.py asleep
handoff = pass
stop_timeout = 100ms

[service deaf]
listen = unix:@DIR@/deaf
exec = /usr/bin/python3 @TESTS@/pass_worker.py asleep
handoff = pass
reports = yes
pick = leastconn
start_timeout = 500ms
stop_timeout = 100ms
"""


def served_at_once(usher):
    began = time.monotonic()
    for _ in range(20):
        with usher.client("good") as client:
            assert client.recv(100)
    return time.monotonic() - began


usher = Daemon(CONF)
script = usher.expand("@DIR@/script.sh")
with open(script, "w", encoding="ascii") as file:
    file.write("#!/nonexistent/interpreter\n")
import os
os.chmod(script, 0o755)

with usher:
    # They wait at the door meanwhile: nobody is refused.
    waiting = [usher.client(name) for name in
               ("exits", "leaves", "script", "deaf") for _ in range(3)]
    for name in ("exits", "leaves", "script"):
        usher.wait_state(name, "degraded")
    status = {s["name"]: s for s in usher.call("Status")["services"]}
    assert "exited with status 3" in status["exits"]["reason"], status
    assert "exited with status 0" in status["leaves"]["reason"], status
    assert "no such file" in status["script"]["reason"], status
    assert status["good"]["state"] == "running", status

    # A queue that nobody reads fills; what is beyond waits in the kernel.
    sleepers = [usher.client("asleep") for _ in range(300)]
    wait_for(lambda: usher.service("asleep")["waiting"] >= 1)
    assert served_at_once(usher) < 10

    # One that is told by reports that it reads nothing is replaced.
    wait_for(lambda: "does not read its queue" in usher.log)
    time.sleep(2)
    # Told once each, with the worker's last words; starts are few.
    log = usher.log
    assert log.count("error: exits: a worker exited with status 3") == 1, log
    assert "no database here" in log, log
    assert log.count("error: leaves: ") == 1, log
    assert log.count("error: script: ") == 1, log
    assert len(log.splitlines()) < 60, log
    for client in waiting + sleepers:
        client.close()

    # What failed comes back by itself once it is right again.
    with open(script, "w", encoding="ascii") as file:
        file.write("#!/bin/sh\nexec /usr/bin/python3 "
                   + usher.expand("@TESTS@/pass_worker.py hello\n"))
    usher.wait_state("script", "running")
    with usher.client("script") as client:
        assert client.recv(100)
