"""A daemon that says nothing: who asks it leaves after eight seconds, and says
why; who asks one that was only away for four has its answer."""
import signal
import time

from harness import BINARY, Daemon, popen

parallel = True
timeout = 120

CONF = """
[service echo]
listen = unix:@DIR@/echo
builtin = echo

[service job]
trigger = unix:@DIR@/job
handoff = spawn
exec = /bin/true
"""
COMMANDS = [["status"], ["show", "echo"], ["conns"], ["pause", "echo"],
            ["scale", "job", "2"], ["trigger", "job", "go"],
            ["explain", "echo", "unix:0"], ["status", "--json"], ["reload"]]


class Asked:
    """A command at work."""

    def __init__(self, words):
        self.words = words
        self.begun = time.monotonic()
        self.path = f"{usher.dir}/{len(asked)}.said"
        asked.append(self)
        with open(self.path, "wb") as out:
            self.process = popen([BINARY, *words, "--control", usher.control],
                                 stdout=out, stderr=out)

    def end(self):
        """Its exit status, what it said, how many seconds it took."""
        status = self.process.wait(60)
        with open(self.path, encoding="utf-8") as file:
            return status, file.read(), time.monotonic() - self.begun


with Daemon(CONF, fds=False) as usher:
    asked = []
    usher.signal(signal.SIGSTOP)
    away = [Asked(["status"]), Asked(["reload"])]
    time.sleep(4)
    usher.signal(signal.SIGCONT)
    for one in away:
        status, text, _ = one.end()
        assert status == 0, (one.words, status, text)

    usher.signal(signal.SIGSTOP)
    silent = [Asked(words) for words in COMMANDS]
    for one in silent:
        status, text, took = one.end()
        assert status == 3, (one.words, status, text)
        assert "nobody answers" in text and "see its log" in text, text
        assert 7.5 < took < 30, (one.words, took)
    usher.signal(signal.SIGCONT)
    assert "echo" in usher.run("status").stdout
