"""gunicorn by systemd's protocol: rolled under load, nobody is refused; a
broken version fails its roll and hurts nobody."""
import threading

from harness import Daemon, connect, receive_all, wait_for
from lab import Root

roots = ["peers"]
root = True
group = "peers"
timeout = 120

APP = '''
import os
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%s %s" % (b"VERSION", os.environ["USHER_GENERATION"].encode())]
'''

CONF = """
[service web]
listen = tcp:127.0.0.1:@PORT@
exec = /usr/bin/gunicorn --workers 1 --graceful-timeout 20 app:app
handoff = share
directory = /srv/app
ready = notify
settle = 1s
workers = 1
# Both versions are written within one second and are of one size.
environment = PYTHONDONTWRITEBYTECODE=1
"""


def get(door):
    with connect(door, 30) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return receive_all(client)


class Load(threading.Thread):
    """One client after the other; every answer must be whole."""

    def __init__(self, door):
        super().__init__()
        self.door, self.stop, self.failed, self.count = door, False, [], 0
        self.seen = set()

    def run(self):
        while not self.stop:
            try:
                answer = get(self.door)
                assert b"200 OK" in answer, answer
                self.seen.add(answer.rpartition(b"\r\n\r\n")[2])
            except (OSError, AssertionError) as error:
                self.failed.append(repr(error))
            self.count += 1


with Root("peers") as peers:
    peers.write("/srv/app/app.py", APP.replace("VERSION", "one"))
    with Daemon(CONF, root=peers, fds=False) as usher:
        door = usher.address("web")
        assert get(door).endswith(b"one 1")
        loads = [Load(door) for _ in range(3)]
        for load in loads:
            load.start()
        try:
            peers.write("/srv/app/app.py", APP.replace("VERSION", "two"))
            usher.call("Roll", service="web", wait=True)
            # The old one may answer yet who it had accepted.
            wait_for(lambda: len(usher.workers("web")) == 1)
            assert get(door).endswith(b"two 2")

            # It does not even start: the old goes on serving.
            peers.write("/srv/app/app.py", "import no_such_module\n")
            usher.error("Roll", service="web", wait=True)
            assert get(door).endswith(b"two 2")
            service = usher.service("web")
            assert any(w["generation"] == 2 and w["state"] != "stopping"
                       for w in service["workers"]), service
            assert "no_such_module" in usher.log

            peers.write("/srv/app/app.py", APP.replace("VERSION", "three"))
            usher.call("Roll", service="web", wait=True)
            wait_for(lambda: len(usher.workers("web")) == 1)
            assert b"three" in get(door)
        finally:
            for load in loads:
                load.stop = True
            for load in loads:
                load.join()
        assert not any(load.failed for load in loads), loads[0].failed[:3]
        assert sum(load.count for load in loads) > 20
        seen = set().union(*(load.seen for load in loads))
        assert {s.split()[0] for s in seen} >= {b"one", b"two", b"three"}, seen
