"""A roll that fails half way, workers with queues of their own: `stop` leaves
it there, `revert` brings the replaced ones back too. And `pick` and `reports`
are changed by a roll."""
from harness import CallError, Daemon, wait_for

parallel = True
timeout = 120

CONF = """
[defaults]
handoff = pass
exec = /usr/bin/python3 @TESTS@/pass_worker.py reports
workers = 3
pick = leastconn
settle = 0
respawn_delay = 10ms

[service stop]
listen = unix:@DIR@/stop
ready = status

[service revert]
listen = unix:@DIR@/revert
ready = status
roll_on_failure = revert

[service turn]
listen = unix:@DIR@/turn
pick = queue
"""


def generations(name):
    return sorted(w["generation"] for w in usher.service(name)["workers"]
                  if w["state"] in ("idle", "busy"))


def ask(name):
    with usher.client(name) as client:
        return int(client.recv(100).split()[1])


def fails(name):
    line = f"[service {name}]\n"
    usher.write(CONF.replace(line, line + "exec = /usr/bin/python3 "
                             f"@TESTS@/pass_worker.py second @DIR@/{name}.n\n"))
    try:
        usher.call("Reload", wait=True)
    except CallError as error:
        return str(error)
    raise AssertionError("the roll was no failure")


with Daemon(CONF) as usher:
    assert "where it was not replaced" in fails("stop"), usher.log
    wait_for(lambda: generations("stop") == [1, 1, 2])
    assert {ask("stop") for _ in range(30)} == {1, 2}
    usher.write(CONF)
    usher.call("Reload", wait=True)
    usher.call("Roll", service="stop", wait=True)
    wait_for(lambda: len(set(generations("stop"))) == 1
             and len(generations("stop")) == 3)
    assert generations("stop")[0] > 2

    assert "also where it was replaced" in fails("revert"), usher.log
    wait_for(lambda: generations("revert") == [1, 1, 1])
    assert {ask("revert") for _ in range(30)} == {1}
    usher.write(CONF)
    usher.call("Reload", wait=True)

    # From a shared queue to queues of their own, without reports, and back.
    before = ask("turn")
    for change in (("pick = queue", "pick = roundrobin"),
                   ("pick = queue", "pick = queue\nreports = no\nexec = "
                    "/usr/bin/python3 @TESTS@/pass_worker.py hello"), None):
        usher.write(CONF.replace(*change) if change else CONF)
        usher.call("Reload", wait=True)
        after = usher.service("turn")["generation"]
        assert after > before
        wait_for(lambda after=after: generations("turn") == [after] * 3)
        assert ask("turn") == after
        before = after
    wait_for(lambda: usher.service("turn")["busy"] == 0)
