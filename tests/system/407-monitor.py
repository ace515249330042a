"""The event stream: log lines and changes of state; who does not read is told
how many events it missed, once it reads again, and costs bounded memory."""
import json
import socket

from harness import Control, Daemon, wait_for

CONF = """
[service hello]
listen = unix:@DIR@/hello
exec = /bin/cat

[service other]
listen = unix:@DIR@/other
exec = /bin/cat
"""


def drain(control, rounds):
    """Pauses and resumes so often: two log lines and a state each."""
    for _ in range(rounds):
        control.send("Pause", service="hello")
        control.send("Resume", service="hello")
        control.reply()
        control.reply()


with Daemon(CONF) as usher, Control(usher.control) as control:
    only = usher.stream("Monitor", service="other")
    assert next(only)["event"]["event"] == "begin"
    every = usher.stream("Monitor")
    assert next(every)["event"]["event"] == "begin"
    usher.call("Pause", service="hello")
    usher.call("Resume", service="hello")
    usher.call("Pause", service="other")
    seen = []
    while not seen or seen[-1].get("service") != "other":
        seen.append(next(every)["event"])
    assert any(e["event"] == "state" and e["state"] == "paused"
               for e in seen), seen
    assert any(e["event"] == "log" and e["level"] == "notice"
               for e in seen), seen
    assert next(only)["event"]["service"] == "other"
    only.close()
    every.close()
    usher.call("Resume", service="other")

    with socket.socket(socket.AF_UNIX) as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.settimeout(60)
        lazy.connect(usher.control)
        lazy.sendall(b"events\n")
        file = lazy.makefile("r")
        assert json.loads(file.readline())["event"]["event"] == "begin"
        drain(control, 1500)            # some MiB of events
        missed = 0
        for line in file:
            event = json.loads(line)["event"]
            if event["event"] == "missed":
                missed += event["count"]
                break
            # Once it has caught up the next event brings the news.
            if event["event"] == "state" and event["state"] == "running":
                drain(control, 1)
        assert missed > 0, missed
        file.close()
    wait_for(lambda: usher.call("Status")["clients"] == 2)
