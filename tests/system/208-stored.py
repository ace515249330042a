"""What a worker of protocol systemd stores comes back at its next start,
after the listeners, under its name; what dies is let go."""
import json

from harness import Daemon, connect, receive_all, wait_for

parallel = True
plain = True

CONF = """
[service app]
listen = unix:@DIR@/door name=front
exec = /usr/bin/python3 @TESTS@/stored_worker.py
handoff = share
ready = notify
roll = 1
settle = 0

[service other]
listen = unix:@DIR@/other
exec = /usr/bin/python3 @TESTS@/stored_worker.py
protocol = server-starter
ready = notify
settle = 0
"""


def ask(usher, word):
    with connect(usher.address("app")) as client:
        client.sendall(word + b"\n")
        return json.loads(receive_all(client))


def new_generation(usher):
    before = set(usher.workers("app"))
    usher.call("Roll", service="app", wait=True)
    wait_for(lambda: usher.workers("app") and
             not set(usher.workers("app")) & before)


with Daemon(CONF, fds=False) as usher:
    said = ask(usher, b"store")
    assert said["names"] == ["front"], said
    said = ask(usher, b"store")         # once more the same: kept once
    new_generation(usher)
    said = ask(usher, b"read")
    assert said["names"] == ["front", "memory", "memory", "pipe"], said
    # The memfd has what the first worker wrote.
    assert said["memory"] == "written by generation 1", said
    assert said["pidfdid"] is None and said["pid"] == said["listen_pid"], said

    # The first worker had the pipe's other end: now it is dead, and let go.
    new_generation(usher)
    said = ask(usher, b"read")
    assert said["names"] == ["front", "memory", "memory"], said
    # They are the service's, not among what others gave usher to hold.
    assert usher.call("ListStore") == {"names": []}

    # They outlive usher, as the worker does that stored them.
    usher.kill()
    usher.read_notify()     # what the old one still said
    usher.start()
    new_generation(usher)
    said = ask(usher, b"read")
    assert said["names"] == ["front", "memory", "memory"], said
    assert said["memory"] == "written by generation 1", said
    ask(usher, b"remove")
    new_generation(usher)
    assert ask(usher, b"read")["names"] == ["front"]

    # Elsewhere it is refused, and said.
    with connect(usher.address("other")) as client:
        client.sendall(b"store\n")
        receive_all(client)
    usher.wait_log("other.*FDSTORE refused")
