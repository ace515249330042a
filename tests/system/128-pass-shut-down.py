"""A worker that calls shutdown(2) on the queue that all share: it is said what
is wrong, nobody hangs, and a roll makes it well; one with a queue of its own is
replaced."""
import os

from harness import Daemon, receive_all, wait_for

parallel = True
timeout = 120

WORKER = """
import os, socket, time
door = socket.socket(fileno=int(os.environ["USHER_FD"]))
if os.path.exists("@DIR@/spoil"):
    door.shutdown(socket.SHUT_RDWR)
    open("@DIR@/spoilt." + os.environ["USHER_SERVICE"], "w").close()
    time.sleep(100)
while True:
    data, fds, _, _ = socket.recv_fds(door, 65536, 1)
    if not data:
        break
    with socket.socket(fileno=fds[0]) as client:
        client.sendall(b"served")
"""

CONF = """
[defaults]
exec = /usr/bin/python3 @DIR@/worker.py
handoff = pass
settle = 100ms
stop_timeout = 500ms
respawn_delay = 50ms
drain_timeout = 500ms

[service shared]
listen = unix:@DIR@/shared.door

[service own]
listen = unix:@DIR@/own.door
pick = leastconn
"""

usher = Daemon(CONF, fds=False)
with open(f"{usher.dir}/worker.py", "w", encoding="ascii") as file:
    file.write(usher.expand(WORKER))
spoil = f"{usher.dir}/spoil"
open(spoil, "w", encoding="ascii").close()
with usher:
    wait_for(lambda: os.path.exists(f"{usher.dir}/spoilt.shared"))
    wait_for(lambda: os.path.exists(f"{usher.dir}/spoilt.own"))
    os.unlink(spoil)
    clients = [usher.client(name) for name in ("shared", "own")]
    wait_for(lambda: "shutdown(2)" in
             (usher.service("shared").get("reason") or ""))
    assert receive_all(clients[1]) == b"served"
    assert "has called shutdown(2) on its queue" in usher.log

    assert usher.run("roll", "shared", "--wait").returncode == 0
    assert receive_all(clients[0]) == b"served"
    with usher.client("shared") as client:
        assert receive_all(client) == b"served"
    wait_for(lambda: usher.service("shared")["state"] == "running")
    for client in clients:
        client.close()
