"""A service that a reload removed finishes what it has, also when usher is
upgraded or killed meanwhile: a relay, spawned programs, workers and what waits
in their queue, a run. Then nothing of it is left."""
from harness import Daemon, connect, process_state, wait_for
from continuity_lib import killed, settled

timeout = 120

STAYS = """
[usher]
keeper = respawn

[service up]
listen = unix:@DIR@/up
builtin = echo
"""

GOES = """
[service relay]
listen = unix:@DIR@/relay
relay = unix:@DIR@/up

[service spawn]
listen = unix:@DIR@/spawn
exec = /bin/cat

[service pass]
listen = unix:@DIR@/pass
exec = /usr/bin/python3 @TESTS@/pass_worker.py echo
handoff = pass
workers = 1

[service job]
trigger = unix:@DIR@/job
trigger_ack = yes
exec = /bin/sh -c 'while [ ! -e @DIR@/go ]; do sleep 0.05; done; \
  echo "$USHER_TRIGGER" >>@DIR@/ran'
workers = 1
"""


def alive(client):
    client.sendall(b"here\n")
    return client.recv(100) == b"here\n"


def upgraded(usher):
    usher.run("upgrade")
    settled(usher)


def fire(usher, message):
    with connect(f"unix:{usher.dir}/job") as client:
        client.sendall(message + b"\n")
        assert client.recv(10) == b"ACK\n"


def goes_on(usher, *moves):
    relayed, spawned, passed = (usher.client(name) for name in
                                ("relay", "spawn", "pass"))
    assert alive(relayed) and alive(spawned)
    pid = int(passed.recv(100))
    assert alive(passed)
    queued = usher.client("pass")
    wait_for(lambda: usher.service("pass")["waiting"] == 1)
    fire(usher, b"one")
    fire(usher, b"two")
    wait_for(lambda: usher.service("job")["running"] == 1)

    usher.write(STAYS)
    usher.run("reload")
    for move in moves:
        move(usher)
        assert alive(relayed) and alive(spawned) and alive(passed)
        names = [s["name"] for s in usher.call("Status")["services"]]
        assert names == ["up"], names
        assert process_state(pid) not in ("", "Z")

    with open(f"{usher.dir}/go", "wb"):
        pass
    for client in (relayed, spawned, passed):
        client.close()
    assert int(queued.recv(100)) > 0
    assert alive(queued)
    queued.close()

    def ran():
        with open(f"{usher.dir}/ran", encoding="ascii") as file:
            return set(file.read().split()) == {"one", "two"}
    wait_for(ran)
    wait_for(lambda: process_state(pid) in ("", "Z"))
    # The names are free, and new ones serve.
    usher.write(STAYS + GOES)
    usher.run("reload")
    with usher.client("relay") as client:
        assert alive(client)


with Daemon(STAYS + GOES, fds=False) as usher:
    goes_on(usher, upgraded, killed, upgraded)
