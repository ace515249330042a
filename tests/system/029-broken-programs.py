"""Programs for each connection that exit at once, can't be executed, are
gone, or never read: each is told once, and who is beside them is served."""
import os
import re
import time

from harness import DEADLINE, Daemon, receive_all, wait_for

parallel = True
timeout = 120

CONF = """
[service good]
listen = unix:@DIR@/good
exec = /bin/echo hello

[service exits]
listen = unix:@DIR@/exits
exec = /bin/sh -c 'echo oops >&2; exit 3'

[service script]
listen = unix:@DIR@/script
exec = @DIR@/script.sh

[service text]
listen = unix:@DIR@/text
exec = @DIR@/text.sh

[service plain]
listen = unix:@DIR@/plain
exec = @DIR@/plain.sh

[service asleep]
listen = unix:@DIR@/asleep
exec = /bin/sleep 600
max_connections = 5
stop_timeout = 100ms

[service deaf]
listen = unix:@DIR@/deaf
exec = /usr/bin/python3 @TESTS@/pass_worker.py asleep
handoff = pass
queue_limit = 10
stop_timeout = 100ms
"""

usher = Daemon(CONF + "[usher]\nshutdown_timeout = 500ms\n", fds=False)


def program(name, text, mode=0o755):
    path = f"{usher.dir}/{name}"
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    os.chmod(path, mode)
    return path


program("script.sh", "#!/nonexistent/interpreter\n")
program("text.sh", "no program at all\n")
program("plain.sh", "#!/bin/sh\necho well\n")


def hello():
    began = time.monotonic()
    with usher.client("good") as client:
        assert receive_all(client) == b"hello\n"
    return time.monotonic() - began


def closed(name):
    with usher.client(name) as client:
        try:
            return receive_all(client)
        except ConnectionResetError:
            return b""


with usher:
    os.unlink(f"{usher.dir}/plain.sh")     # it was there when it was checked
    for name in ("exits", "script", "text", "plain"):
        for _ in range(50):
            assert closed(name) == b"", name
    hello()
    for name, words in (("script", "no such file (or its interpreter's)"),
                        ("text", "its first line must be #!"),
                        ("plain", "no such file (or its interpreter's)")):
        service = usher.service(name)
        assert service["state"] == "degraded", service
        assert words in service["reason"], service
        assert usher.log.count(f"error: {name}: ") == 1, usher.log
        assert service["refused"] == {"start": 50}, service
    # To exit with a status is a program's right; it is counted.
    wait_for(lambda: usher.service("exits")["failures"] == 50)
    assert usher.service("exits")["state"] == "running"
    # It is told: the first at once with its last line, the others by number.
    usher.wait_log(r"exits\[\d+\]: exited with status 3; its last line: oops$")
    told = wait_for(lambda: sum(
        int(more or 0) + 1 for more in re.findall(
            r"exits\[\d+\]: exited with status 3"
            r"(?:, and (\d+) others like it|;.*)?$", usher.log, re.M)) == 50,
        DEADLINE, "all 50 told")
    assert told
    text = usher.run("status", "exits").stdout
    assert not text.startswith("its last line"), text
    assert "failures 50, the last one's last line: oops" in text, text

    # Clients of one that never reads wait, at the limit in the kernel.
    waiting = [usher.client("asleep") for _ in range(30)]
    waiting += [usher.client("deaf") for _ in range(30)]
    for client in waiting:
        client.sendall(b"x")
    wait_for(lambda: usher.service("asleep")["busy"] == 5)
    wait_for(lambda: usher.service("deaf")["waiting"] == 10)
    assert min(hello() for _ in range(5)) < 2
    assert usher.service("asleep")["arrivals"] == 5
    for client in waiting:
        client.close()

    # It is there again: so is the service, without a word from anybody.
    program("plain.sh", "#!/bin/sh\necho well\n")
    assert closed("plain") == b"well\n"
    usher.wait_state("plain", "running")
    assert len([line for line in usher.log.splitlines()
                if not line.endswith(": oops")]) < 30, usher.log
