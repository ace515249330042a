"""A reload tries one worker of each new and changed program before it commits:
one that does not come up is named, with its last line, and all goes on."""
import os
import signal
import threading
import time

from continuity_lib import killed
from harness import Daemon, children, process_state, receive_all, wait_for

parallel = True
timeout = 120

CONF = """
[defaults]
settle = 0
start_timeout = 10s
stop_timeout = 1s

[service pass]
listen = unix:@DIR@/pass
handoff = pass
exec = /usr/bin/python3 @TESTS@/pass_worker.py hello
environment = VERSION=%(version)s
workers = 2
%(pass)s

[service share]
listen = unix:@DIR@/share
handoff = share
exec = %(share)s
ready = notify
"""
GOOD = "/usr/bin/python3 @TESTS@/share_worker.py late 0"
BAD = "/bin/sh -c 'echo no module named shop; exit 3'"
LATE = "/usr/bin/python3 @TESTS@/share_worker.py late 60"


def conf(more="", version=1, share=GOOD, **keys):
    return CONF % {"version": version, "share": share,
                   "pass": keys.get("pass_", "")} + more


def state(usher):
    return {s["name"]: (s["state"], s["generation"],
                        sorted(w["pid"] for w in s["workers"]))
            for s in usher.call("Status")["services"]}


def answers(usher):
    for name in ("pass", "share"):
        with usher.client(name) as client:
            assert receive_all(client), name


def refused(usher, text, *words):
    usher.write(text)
    before = state(usher)
    done = usher.run("reload", status=1)
    for word in words:
        assert word in done.stderr, (word, done.stderr)
    assert "everything goes on as before" in done.stderr, done.stderr
    wait_for(lambda: state(usher) == before,
             what="the same services, workers and generations")
    answers(usher)
    return done.stderr


def running(pid):
    try:
        return process_state(pid) != "Z"
    except OSError:
        return False


def trial_of(usher, before):
    return wait_for(lambda: set(children(usher.pid)) - before)


with Daemon(conf()) as usher:
    wait_for(lambda: len(usher.workers("share")) == 1)
    answers(usher)

    # A changed program, a new one, each handoff, each way to fail.
    said = refused(usher, conf(share=BAD), "share: a worker of its new "
                   "settings exited with status 3; its last line: "
                   "no module named shop")
    assert said.count("\n") == 1, said
    refused(usher, conf(version=2, share=BAD), "share: a worker", "status 3")
    refused(usher, conf("""
[service new]
listen = unix:@DIR@/new
handoff = pass
exec = /bin/false
"""), "new: a worker of its new settings exited with status 1")
    assert not os.path.exists(f"{usher.dir}/new")
    with open(f"{usher.dir}/script", "w", encoding="ascii") as file:
        file.write("#!/nonexistent/interpreter\n")
        os.fchmod(file.fileno(), 0o755)
    refused(usher, conf(share="@DIR@/script"),
            "share: ", "/script: exec: No such file or directory")
    refused(usher, conf(pass_="ready = fd:9\nstart_timeout = 300ms"),
            "pass: a worker of its new settings was not ready within "
            "start_timeout")
    # SIGHUP: the same text in the log.
    usher.write(conf(share=BAD))
    usher.signal(signal.SIGHUP)
    usher.wait_log("share: a worker of its new settings exited with status 3")
    usher.wait_log("reload refused, everything goes on as before")

    # What could not overlap, or need not be there, is not tried.
    usher.write(conf("""
[service none]
listen = unix:@DIR@/none
handoff = pass
workers = 0-2
exec = /bin/false

[service apart]
listen = unix:@DIR@/apart
handoff = pass
roll = 0
exec = /bin/false
"""))
    usher.run("reload")
    usher.wait_state("apart", "degraded")
    usher.write(conf())
    usher.run("reload", "--wait")

    # The worker that was tried is the first of the new generation.
    before = set(children(usher.pid))
    usher.write(conf(version=4, share=LATE.replace("60", "1.5")))
    answer = []
    thread = threading.Thread(target=lambda: answer.append(
        usher.run("reload", "--wait").stdout))
    thread.start()
    tried = wait_for(lambda: len(set(children(usher.pid)) - before) >= 2 and
                     set(children(usher.pid)) - before)
    assert usher.service("share")["generation"] == 1
    assert not answer
    # Meanwhile: a second reload waits its turn and sees the newer file.
    usher.write(conf("""
[service more]
listen = unix:@DIR@/more
exec = /bin/cat
""", version=4, share=LATE.replace("60", "1.5")))
    usher.run("reload")
    thread.join()
    assert answer == ["reloaded\n"], answer
    assert usher.service("more")["state"] == "running"
    for name in ("pass", "share"):
        fresh = usher.service(name)
        assert fresh["generation"] == 2, fresh
        assert tried & {w["pid"] for w in fresh["workers"]}, (tried, fresh)
    answers(usher)

    # Rolled by hand while it is tried: that one is not taken.
    before = set(children(usher.pid))
    usher.write(conf(version=5, share=LATE.replace("60", "1")))
    thread = threading.Thread(target=lambda: usher.run("reload", "--wait"))
    thread.start()
    trial_of(usher, before)
    usher.call("Roll", service="share")
    thread.join()
    wait_for(lambda: usher.service("share")["state"] == "running")
    assert usher.service("share")["generation"] >= 4
    answers(usher)

# A stop gives it up.
with Daemon(conf()) as usher:
    before = set(children(usher.pid))
    usher.write(conf(version=2, share=LATE))
    said = []
    thread = threading.Thread(target=lambda: said.append(
        usher.run("reload", status=1).stderr))
    thread.start()
    trial_of(usher, before)
    began = time.monotonic()
    usher.stop()
    thread.join()
    assert "usher is stopping" in said[0], said
    assert time.monotonic() - began < 9

# An upgrade comes first.
with Daemon(conf()) as usher:
    before = set(children(usher.pid))
    usher.write(conf("""
[service new]
listen = unix:@DIR@/new
handoff = pass
exec = /usr/bin/python3 @TESTS@/pass_worker.py hello
ready = fd:9
""", version=2, share=LATE))
    said = []
    thread = threading.Thread(target=lambda: said.append(
        usher.run("reload", status=None)))
    thread.start()
    wait_for(lambda: len(set(children(usher.pid)) - before) >= 3)
    tried = set(children(usher.pid)) - before
    usher.run("upgrade")
    thread.join()
    assert said[0].returncode == 1, said
    assert "an upgrade came first" in said[0].stderr, said
    wait_for(lambda: not tried & set(children(usher.pid)))
    answers(usher)

# Killed while it tries: the strays are known by their records and ended.
with Daemon("[usher]\nkeeper = respawn\n" + conf(), fds=False) as usher:
    first, good = usher.pid, usher.conf
    before = set(children(first))
    usher.write("[usher]\nkeeper = respawn\n" + conf("""
[service new]
listen = unix:@DIR@/new
handoff = pass
exec = /usr/bin/python3 @TESTS@/pass_worker.py hello
ready = fd:9
""", version=2, share=LATE))
    thread = threading.Thread(target=lambda: usher.run("reload", status=None))
    thread.start()
    wait_for(lambda: len(set(children(first)) - before) >= 3)
    tried = set(children(first)) - before
    with open(usher.file, "w", encoding="utf-8") as file:
        file.write(good)
    killed(usher)
    thread.join()
    wait_for(lambda: not [pid for pid in tried if running(pid)],
             what="the tried ones to be gone")
    assert set(state(usher)) == {"pass", "share"}, state(usher)
    assert state(usher)["share"][1] == 1
    answers(usher)
