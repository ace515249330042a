"""The harness sees what it promises to see: each fault that a daemon can
show at its end fails the test, and a clean one does not."""
import contextlib
import io
import os

from harness import PYTHON, CallError, Daemon, wait_for

parallel = True

READY = """
import os, signal, socket, sys, time
def notify(text):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.sendto(text, os.environ["NOTIFY_SOCKET"])
    s.close()
def leave(*_):
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
"""
WAIT = """
notify(b"READY=1\\nSTATUS=here")
while True:
    signal.pause()
"""

CLEAN = READY + WAIT
STATUS = READY.replace("sys.exit(0)", "os._exit(3)") + WAIT
# Detached as far as a process can be.
LEFT = READY + """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True:
            time.sleep(60)
    os._exit(0)
os.wait()
""" + WAIT
LEAK = READY + """
notify(b"READY=1")
open(os.environ["HERE"] + "/started", "w").close()
while not os.path.exists(os.environ["HERE"] + "/leak"):
    time.sleep(0.01)
kept = [os.dup(0) for _ in range(5)]
open(os.environ["HERE"] + "/leaked", "w").close()
while True:
    signal.pause()
"""
ZOMBIE = READY + """
child = os.fork()
if child == 0:
    os._exit(0)
os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
""" + WAIT
REPORT = READY + """
print("==1==ERROR: AddressSanitizer: heap-use-after-free", file=sys.stderr,
      flush=True)
""" + WAIT
EARLY = "import sys; print('no such thing'); sys.exit(5)"

Daemon.patience = 0.3


def nothing(_usher):
    pass


def leak(usher):
    open(os.path.join(usher.dir, "leak"), "w", encoding="ascii").close()
    wait_for(lambda: os.path.exists(os.path.join(usher.dir, "leaked")))


def verdict(program, meanwhile=nothing):
    """What the harness says of a daemon that is PROGRAM."""
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            with Daemon("", command=[PYTHON, "-c", program],
                        env={"HERE": "@DIR@"}) as usher:
                assert usher.pid == usher.proc.pid
                meanwhile(usher)
    except AssertionError as error:
        assert "--- log of usher" in errors.getvalue()
        return str(error)
    assert not os.path.exists(usher.dir)
    return ""


assert verdict(CLEAN) == ""
assert "exit status: 3" in verdict(STATUS)
assert "left a process behind" in verdict(LEFT)
assert "does not reap" in verdict(ZOMBIE)
assert "heap-use-after-free" in verdict(REPORT)
assert "ended before it was ready: 5" in verdict(EARLY)
said = verdict(LEAK, leak)
assert "descriptors" in said and "after the start" in said, said

usher = Daemon("[usher]\nlog_level = debug\n[service a]\n"
               "listen = tcp:127.0.0.1:@PORT:a@ name=x\nexec = /bin/cat\n")
assert usher.address("a") == f"tcp:127.0.0.1:{usher.port('a')}"
assert f"control = unix:{usher.dir}/control\n" in usher.conf
assert usher.conf.count("[usher]") == 1
assert CallError("org.usher.Busy", {}).name == "org.usher.Busy"
usher.__exit__(None, None, None)
assert not os.path.exists(usher.dir)
