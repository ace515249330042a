"""What the control socket tells and does beside thousands of connections and
a full store holds nobody up: the list of what is held, all connections of a
network reset, accept queues that were asked for a moment ago. Its errors say
what would help, as JSON too; a worker's last words can't steer a terminal."""
import json
import os

from harness import Control, Daemon, wait_for

timeout = 120

MANY = 1500
STORED = 64

CONF = """
[service back]
listen = unix:@DIR@/back backlog=4000
builtin = discard
max_connections = 9000

[service relayed]
listen = tcp:127.0.0.1:@PORT:relayed@ backlog=4000
relay = unix:@DIR@/back
max_connections = 9000

[service waits]
listen = unix:@DIR@/waits backlog=100
builtin = echo

[service loud]
listen = unix:@DIR@/loud
exec = /bin/sh -c 'printf "\\033[31mred\\177 \\303\\244\\a\\n" >&2; exit 3'
handoff = pass
"""


def queue(**which):
    """What is said to wait at the door of `waits`."""
    for service in usher.call("Status", **which)["services"]:
        if service["name"] == "waits":
            return service["endpoints"][0]["queue"]
    return None


with Daemon(CONF, fds=False) as usher:
    # A queue of a Unix socket: of one service it is looked at, in an answer
    # about all it was a tenth of a second ago.
    usher.call("Pause", service="waits")
    assert queue() == 0
    with usher.client("waits"), usher.client("waits"), usher.client("waits"):
        assert queue(service="waits") == 3
        wait_for(lambda: queue() == 3)
    usher.call("Resume", service="waits")
    wait_for(lambda: queue() == 0)

    # Control characters of a worker's last line are shown, not sent on.
    usher.wait_state("loud", "degraded")
    assert usher.service("loud")["last_line"] == "?[31mred? ä?"
    assert "its last line: ?[31mred? ä?" in usher.run("status").stdout

    # A name that is nearly right.
    done = usher.run("pause", "relaid", "--json", status=1)
    assert done.stderr == "usher pause: there is no service relaid; did you " \
        "mean relayed?\n", done
    assert json.loads(done.stdout)["error"] == "org.usher.NoSuchService"
    for words in (("show", "x"), ("status", "x"), ("conns", "x"),
                  ("explain", "x", "127.0.0.1"), ("events", "x"),
                  ("inject", "x"), ("fetch", "x", "--", "true"),
                  ("forget", "x"), ("trigger", "x"), ("roll", "x", "--wait")):
        done = usher.run("--json", *words, status=1)
        assert json.loads(done.stdout)["error"].startswith("org.usher."), done
        assert done.stderr.count("\n") == 1, done
        assert done.stderr.startswith(f"usher {words[0]}: "), done

    # Many relays, a full store.
    clients = [usher.client("relayed") for _ in range(MANY)]
    wait_for(lambda: usher.service("relayed")["busy"] == MANY)
    read, write = os.pipe()
    for i in range(STORED // 4):
        usher.call("Store", [read] * 4, name=f"n{STORED - i}")
    os.close(read)
    os.close(write)
    names = [item["name"] for item in usher.call("ListStore")["names"]]
    assert names == sorted(names) and len(names) == STORED // 4, names
    lines = usher.run("conns").stdout.splitlines()
    assert lines[0] == f"{MANY} connections", lines[:2]
    assert max(map(len, lines)) <= 80, lines[:3]

    # All of a network are reset, also when who asked does not wait for it;
    # others' are not.
    other = usher.client("back")
    with Control(usher.control) as control:
        control.send("Kill", what="from:127.0.0.0/8")
    wait_for(lambda: usher.service("relayed")["busy"] == 0)
    for client in clients:
        try:
            assert client.recv(1) == b"", "it goes on"
        except ConnectionResetError:
            pass
        client.close()
    other.sendall(b"still here")
    wait_for(lambda: usher.service("back")["busy"] == 1)
    other.close()
    clients = [usher.client("relayed") for _ in range(MANY)]
    wait_for(lambda: usher.service("relayed")["busy"] == MANY)
    assert usher.call("Kill", what="from:127.0.0.1")["count"] == MANY
    for client in clients:
        client.close()
    for name in names:
        usher.call("Forget", name=name)
    wait_for(lambda: usher.service("back")["busy"] == 0)
