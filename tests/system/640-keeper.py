"""The keeper without a service manager: whoever comes next finds it, it is
replaced when killed, never robs a living usher, and a state that can't be used
ends in something that serves."""
import os
import re
import signal
import socket
import subprocess

from harness import BINARY, Daemon, connect, popen, receive_all, wait_for
from continuity_lib import is_debug, keeper_of, next_ready

timeout = 240

CONF = """
[usher]
keeper = %s

[service echo]
listen = tcp:127.0.0.1:@PORT:echo@ backlog=4096
listen = unix:@DIR@/echo
builtin = echo

[service spawn]
listen = tcp:127.0.0.1:@PORT:spawn@
exec = /bin/echo spawned

[service job]
trigger = fifo:job
exec = /bin/true
"""


def alive(client):
    client.sendall(b"still here\n")
    return client.recv(100) == b"still here\n"


def gone(client):
    """Ended or reset."""
    try:
        return client.recv(10) == b""
    except ConnectionResetError:
        return True


def restarted(usher):
    """What a supervisor does: the same command again."""
    usher.read_notify()
    usher.start(ready=False)
    next_ready(usher)


# keeper = yes: the next usher asks at the socket beside the control socket.
with Daemon(CONF % "yes", fds=False) as usher:
    client = usher.client("echo")
    path = os.stat(f"{usher.dir}/control.keeper")
    assert path.st_mode & 0o777 == 0o600
    for _ in range(3):
        inodes = [os.stat(f"{usher.dir}/{name}").st_ino
                  for name in ("echo", "spool/job", "control")]
        usher.kill()
        waiting = connect(usher.address("echo"))    # in the accept queue
        restarted(usher)
        assert alive(client) and alive(waiting)
        assert inodes == [os.stat(f"{usher.dir}/{name}").st_ino
                          for name in ("echo", "spool/job", "control")]
        waiting.close()
    assert usher.call("Status")["crashes"] == 3

    # A living one is never robbed: by the lock, and by its keeper's silence.
    second = popen([BINARY, "serve", "-c", usher.file],
                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                   text=True, env=usher.environment())
    text = second.communicate(timeout=20)[0]
    assert second.returncode == 1 and "is held by usher" in text, text
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as thief:
        thief.connect(f"{usher.dir}/control.keeper")
        thief.send(b"12345678")
        thief.settimeout(0.5)
        try:
            raise AssertionError(thief.recvmsg(10, 1000))
        except TimeoutError:
            pass
    assert alive(client)

    # Killed alone, the keeper is replaced at once, and the new one keeps.
    old = keeper_of(usher.pid)
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: keeper_of(usher.pid) != old)
    usher.kill()
    restarted(usher)
    assert alive(client)

    # A wrong file on disk meanwhile: the last good configuration goes on.
    good = usher.conf
    with open(usher.file, "w", encoding="ascii") as file:
        file.write(f"[usher]\ncontrol = unix:{usher.control}\n"
                   "keeper = perhaps\n[service broken\n")
    usher.kill()
    restarted(usher)
    assert alive(client)
    assert "wrong" in usher.call("Status")["notice"]
    assert "wrong" in usher.run("status").stdout.splitlines()[0]
    with open(usher.file, "w", encoding="ascii") as file:
        file.write(good)
    usher.run("reload")
    assert usher.call("Status")["notice"] is None

    # And another one, that is right: in force once it has taken over.
    with open(usher.file, "w", encoding="ascii") as file:
        file.write(good.replace("echo spawned", "echo otherwise"))
    usher.kill()
    restarted(usher)
    wait_for(lambda: receive_all(usher.client("spawn")) == b"otherwise\n")
    assert alive(client)
    client.close()

# Both killed: nothing is left, so it begins anew, at the same paths.
with Daemon(CONF % "yes", fds=False) as usher:
    client = usher.client("echo")
    keeper = keeper_of(usher.pid)
    usher.signal(signal.SIGSTOP)    # it would start another one
    os.kill(keeper, signal.SIGKILL)
    usher.kill()
    restarted(usher)
    assert gone(client)
    with usher.client("echo", 1) as fresh:
        assert alive(fresh)

# respawn: nobody else is needed.
with Daemon(CONF % "respawn", fds=False) as usher:
    client = usher.client("echo")
    for _ in range(3):
        usher.kill()
        next_ready(usher)
        assert alive(client)
    client.close()

# A state that kills who loads it: three tries, then the doors only.
with Daemon(CONF % "respawn", fds=False,
            env={"USHER_CRASH_ALWAYS": "record-hung"}) as usher:
    if is_debug():
        client = usher.client("echo")
        client.sendall(b"x")
        client.recv(1)
        usher.kill()
        wait_for(lambda: "only the doors are taken" in usher.log, 30)
        wait_for(lambda: usher.log.count("took over in") == 1)
        usher.read_notify()
        usher.ended = None
        with usher.client("echo") as fresh:
            assert alive(fresh)
        assert gone(client)

# A corrupt state is told and left; the doors are bound anew.
with Daemon(CONF % "yes", fds=False) as usher:
    with open(f"/proc/{usher.pid}/fd/3", "r+b", buffering=0) as state:
        usher.signal(signal.SIGSTOP)
        state.write(b"garbage garbage")
    usher.kill()
    restarted(usher)
    assert "can't be used" in usher.log
    with usher.client("echo") as fresh:
        assert alive(fresh)
    assert re.search("beginning anew", usher.log)
