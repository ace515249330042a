"""roll, drain and reload with --wait outlast the usher that they asked: an
upgrade and a kill in the middle, and they end with their answer."""
from continuity_lib import killed
from harness import BINARY, Daemon, popen

timeout = 120

CONF = """
[usher]
keeper = respawn

[defaults]
handoff = pass
exec = /usr/bin/python3 @TESTS@/pass_worker.py hello

[service queue]
listen = unix:@DIR@/queue
settle = %(settle)s
environment = VERSION=%(version)s

[service echo]
listen = unix:@DIR@/echo
builtin = discard
"""


def asked(*words):
    with open(usher.dir + "/said", "wb") as out:
        return popen([BINARY, *words, "--control", usher.control],
                     stdout=out, stderr=out)


def said():
    with open(usher.dir + "/said", encoding="utf-8") as file:
        return file.read()


def upgraded(_usher):
    usher.run("upgrade")


with Daemon(CONF % {"settle": "2s", "version": 1}, fds=False) as usher:
    for generation, replace in ((2, upgraded), (3, killed)):
        command = asked("roll", "queue", "--wait")
        usher.wait_state("queue", "rolling")
        replace(usher)
        assert command.wait(60) == 0, said()
        assert said() == (f"queue: generation {generation} is ready; usher "
                          "was replaced meanwhile\n"), said()
        usher.wait_state("queue", "running")

    # Begun while nobody is there, as it were: asked again.
    client = usher.client("echo")
    command = asked("drain", "echo", "--wait")
    usher.wait_state("echo", "draining")
    killed(usher)
    upgraded(usher)
    assert command.poll() is None, said()
    client.close()
    assert command.wait(60) == 0, said()
    assert said().startswith("echo: "), said()
    usher.run("resume", "echo")

    usher.write(CONF % {"settle": "2s", "version": 2})
    command = asked("reload", "--wait")
    usher.wait_state("queue", "rolling")
    killed(usher)
    assert command.wait(60) == 0, said()
    assert said() == "reloaded\n", said()
    state = usher.service("queue")
    assert state["state"] == "running" and state["generation"] == 4, state

    # usher's own end is one.
    client = usher.client("echo")
    command = asked("drain", "echo", "--wait")
    usher.wait_state("echo", "draining")
    usher.run("shutdown", "--now")
    assert command.wait(60) == 1, said()
    assert said() == "usher drain: usher ended meanwhile\n", said()
    client.close()
