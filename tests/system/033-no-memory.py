"""Out of memory, at every site that allocates (a twentieth of them in a
check): usher says it and ends in order, or does without; it never crashes.
And where it ended the keeper brings it back, doors and workers as they were.

On the build without sanitizers, which have an allocator of their own.
"""
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time

from harness import (BINARY, DEADLINE, TESTS, Daemon, connect, descendants,
                     free_port, receive_all, skip, wait_for)

plain = True
timeout = 180
full = 7200

CONF = """[usher]
control = unix:{dir}/control
spool = {dir}/spool
log = stderr
keeper = no
shutdown_timeout = 2s

[service echo]
listen = tcp:127.0.0.1:{port}
builtin = echo
max_per_source = 10
allow = 127.0.0.0/8

[service relay]
listen = unix:{dir}/relay
relay = tcp:127.0.0.1:{port}

[service pass]
listen = unix:{dir}/pass
exec = {binary} demo --worker
handoff = pass
workers = 1-2
settle = 0

[service spawn]
listen = unix:{dir}/spawn
exec = /bin/echo hello
environment = A="b c"

[service job]
trigger = unix:{dir}/trigger
trigger = fifo:job
exec = /bin/true
"""
OUT_OF_MEMORY = 71      # EX_OSERR


def sanitized():
    with open(BINARY, "rb") as file:
        return b"libasan" in file.read()


class Run:
    """One usher in a folder of its own, from its start to its end."""

    def __init__(self, **env):
        self.dir = tempfile.mkdtemp(prefix="usher-memory-", dir=top)
        self.port = free_port()
        self.file = f"{self.dir}/usher.ini"
        with open(self.file, "w", encoding="ascii") as file:
            file.write(CONF.format(dir=self.dir, port=self.port,
                                   binary=BINARY))
        self.process = subprocess.Popen(
            [BINARY, "serve", "-c", self.file], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "LD_PRELOAD": library,
                 "FAIL_DONE": f"{self.dir}/done", **env})

    def ended(self):
        return self.process.poll() is not None

    def deeds(self):
        """Whatever happens to them: usher may be gone at each."""
        wait_for(lambda: self.ended() or
                 os.path.exists(f"{self.dir}/control"))
        doors = [f"tcp:127.0.0.1:{self.port}"] + [
            f"unix:{self.dir}/{name}" for name in ("relay", "pass", "spawn")]
        lines = ["status", "show pass", "reload", "roll pass",
                 "scale pass 2", "explain echo 127.0.0.1", "trigger job",
                 "pause spawn", "resume spawn", "nonsense", "metrics"]
        for door in doors:
            self.attempt(door, b"x")
        self.attempt(f"unix:{self.dir}/trigger", b"word\0")
        for line in lines:
            self.attempt(f"unix:{self.dir}/control", line.encode() + b"\n")
        for door in doors:
            self.attempt(door, b"x")

    def attempt(self, door, data):
        if self.ended():
            return
        try:
            with connect(door, 5) as client:
                client.sendall(data)
                client.shutdown(1)
                receive_all(client)
        except OSError:
            pass

    def end(self):
        """(status, what it said)."""
        left = descendants(self.process.pid)
        if not self.ended():
            self.process.send_signal(signal.SIGTERM)
        for pid in left if self.ended() else ():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        try:
            text = self.process.communicate(timeout=DEADLINE)[1]
        finally:
            self.process.kill()
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
            shutil.rmtree(self.dir, ignore_errors=True)
        return self.process.returncode, text.decode(errors="replace")


def try_site(site):
    run = Run(FAIL_SITE=site)
    run.deeds()
    status, text = run.end()
    # Done without, said and ended, or a configuration that can't be loaded.
    assert status in (0, 1, 78, OUT_OF_MEMORY), (site, status, text)
    if status == OUT_OF_MEMORY:
        assert "out of memory" in text, (site, status, text)
    return status


HEALED = """
[usher]
keeper = respawn

[service pass]
listen = unix:@DIR@/pass
exec = @BUILD@/usher demo --worker
handoff = pass
"""


def healed():
    """A status that finds no memory; the next usher is there at once."""
    with Daemon(HEALED, env={"LD_PRELOAD": library, "FAIL_DONE": "@DIR@/done",
                             "FAIL_SITES": "@DIR@/sites"}, fds=False) as usher:
        before = set(sites_in(f"{usher.dir}/sites"))
        usher.call("Status")
        late = [s for s in sites_in(f"{usher.dir}/sites") if s not in before]
    for site in late:
        with Daemon(HEALED, env={"LD_PRELOAD": library, "FAIL_SITE": site,
                                 "FAIL_DONE": "@DIR@/done"},
                    fds=False) as usher:
            first = usher.pid
            try:
                usher.call("Status")
            except OSError:
                pass
            if not os.path.exists(f"{usher.dir}/done"):
                continue
            if not wait_gone(first):
                continue            # done without
            usher.ended = -signal.SIGKILL
            usher.wait_ready()
            with usher.client("pass") as client:
                assert client.recv(100).startswith(b"hello from worker")
            return
    raise AssertionError(f"none of {len(late)} sites ended it")


def wait_gone(pid):
    end = time.monotonic() + 1
    while time.monotonic() < end:
        if usher_gone(pid):
            return True
        time.sleep(0.01)
    return False


def usher_gone(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def sites_in(path):
    with open(path, encoding="ascii") as file:
        return file.read().split()


if sanitized():
    print("on the build without sanitizers")
    raise SystemExit(0)
if not shutil.which("cc"):
    skip("no C compiler")
with tempfile.TemporaryDirectory(prefix="usher-memory-") as top:
    library = f"{top}/failing-malloc.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o",
                    library, f"{TESTS}/failing-malloc.c", "-ldl"], check=True)
    first = Run(FAIL_SITES=f"{top}/sites")
    first.deeds()
    status, text = first.end()
    assert status == 0, (status, text)
    sites = sorted(set(sites_in(f"{top}/sites")))
    assert len(sites) > 200, len(sites)
    every = os.environ.get("USHER_FULL_DOSE")
    chosen = sites if every else \
        random.Random(int(time.time())).sample(sites, len(sites) // 20)
    results = [try_site(site) for site in chosen]
    print(f"{len(chosen)} of {len(sites)} sites: "
          f"{results.count(OUT_OF_MEMORY)} ends, {results.count(0)} times "
          "done without")
    assert results.count(OUT_OF_MEMORY) > 0
    healed()
