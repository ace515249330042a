"""The example workers and those of usher-worker(7), each as it is printed:
they serve, a client that leaves early ends none, and one that is told to stop
while it serves finishes first."""
import os
import re
import shutil
import signal
import subprocess

from harness import Daemon, TOP, receive_all, wait_for

parallel = True
timeout = 120

CONF = """
[service example]
listen = unix:@DIR@/example
exec = @DIR@/program
pass_environment = PERL5LIB
pass_environment = RUBYLIB
pass_environment = LD_LIBRARY_PATH
handoff = pass
workers = 2
settle = 0
"""

PAGE = f"{TOP}/doc/usher-worker.7"


def printed(section):
    """The program in a subsection of the page, unescaped."""
    with open(PAGE, encoding="utf-8") as file:
        text = file.read()
    found = re.search(rf"^\.S[sh] {section}$.*?^\.Bd -literal.*?\n(.*?)^\.Ed",
                      text, re.M | re.S)
    return re.sub(r"\\e", r"\\", found.group(1))


def program(line, text):
    def make(path):
        with open(path, "w", encoding="utf-8") as file:
            file.write(line + "\n" + text)
        os.chmod(path, 0o755)
    return make


def compiled(path):
    subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", "-o", path,
                    f"{TOP}/doc/examples/worker.c"], check=True)


def has(*command):
    return shutil.which(command[0]) and subprocess.run(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        check=False).returncode == 0


examples = {
    "worker.py": lambda path: shutil.copy(f"{TOP}/doc/examples/worker.py",
                                          path),
    "Python": program("#!/usr/bin/python3", printed("Python")),
    "first": program("#!/usr/bin/python3", printed("DESCRIPTION")),
}
if shutil.which("cc"):
    examples["worker.c"] = compiled
if has("perl", "-MSocket::MsgHdr", "-e1"):
    examples["Perl"] = program("#!/usr/bin/env perl", printed("Perl"))
if has("ruby", "-rsocket", "-e1"):
    examples["Ruby"] = program("#!/usr/bin/env ruby", printed("Ruby"))

for name, make in examples.items():
    usher = Daemon(CONF)
    make(usher.expand("@DIR@/program"))
    with usher:
        for _ in range(20):
            with usher.client("example") as client:
                assert receive_all(client).startswith(b"hello"), name
        # Clients that left before they were answered: no reason to end.
        old = set(usher.workers("example"))
        for pid in old:
            os.kill(pid, signal.SIGSTOP)
        for _ in range(2):
            usher.client("example").close()
        for pid in old:
            os.kill(pid, signal.SIGCONT)
        for _ in range(10):
            with usher.client("example") as client:
                assert receive_all(client).startswith(b"hello"), name
        assert set(usher.workers("example")) == old, (name, usher.log)
        # The queue's end, and a signal: neither is a failure.
        old = set(usher.workers("example"))
        usher.call("Roll", service="example", wait=True)
        wait_for(lambda: not old & set(usher.workers("example")))
        assert "killed by" not in usher.log, (name, usher.log)
        if name != "first":         # it dies of SIGTERM, the page says so
            usher.call("Scale", service="example", workers="1")
            wait_for(lambda: len(usher.workers("example")) == 1)
            with usher.client("example") as client:
                assert receive_all(client), name    # it is there
            pid = usher.workers("example")[0]
            os.kill(pid, signal.SIGTERM)
            wait_for(lambda: usher.workers("example") not in ([], [pid]))
            assert "killed by" not in usher.log, (name, usher.log)
        with usher.client("example") as client:
            assert receive_all(client).startswith(b"hello"), name
print(" ".join(examples))
