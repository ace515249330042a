"""A worker that hangs before it accepts, as a smtpd does whose tables come
from a service that does not answer, is not the one for whom all wait: the
others are started beside it, at once where many come and soon for one."""
import os

from harness import Daemon, wait_for

timeout = 60
parallel = True

CONF = """
[defaults]
settle = 0
drain_timeout = 100ms

[service burst]
listen = unix:@DIR@/burst
protocol = postfix
exec = /usr/bin/python3 @TESTS@/postfix_worker.py @DIR@/burst.hangs
workers = 0-40

[service single]
listen = unix:@DIR@/single
protocol = postfix
exec = /usr/bin/python3 @TESTS@/postfix_worker.py @DIR@/single.hangs
workers = 0-40
"""



def workers(name):
    return usher.service(name)["workers"]


def rested(name):
    """Somebody who has served is there for the next one."""
    return any(w["state"] == "idle" and w["requests"] for w in workers(name))


with Daemon(CONF, fds=False) as usher:
    for name, number in (("burst", 20), ("single", 1)):
        clients = [usher.client(name) for _ in range(number)]
        pids = {int(client.recv(100)) for client in clients}
        assert len(pids) == number, pids
        assert os.path.isdir(f"{usher.dir}/{name}.hangs")
        there = workers(name)
        assert number < len(there) <= number + 10, there
        idle = [w for w in there if w["state"] == "idle"]
        assert idle and not any(w["requests"] for w in idle), idle

        # Those who have spoken are there for whoever comes now.
        for client in clients:
            client.close()
        for _ in range(5):
            wait_for(lambda: rested(name))
            with usher.client(name) as client:
                assert int(client.recv(100)) in {w["pid"] for w in there}
        assert len(workers(name)) == len(there)
