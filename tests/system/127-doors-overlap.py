"""A door changes to a name that overlaps the old one and back at reloads:
tcp:127.0.0.1:P, tcp:*:P, tcp4:*:P, another service. Nobody who connects all
the while is refused, nobody who is in the midst of it, and nobody who waits
for room; and doors that overlap and both stay are told."""
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

from harness import Daemon, dose, free_port, wait_for

full = 120

PORT = free_port()
CONF = """
[usher]
control = unix:@DIR@/control
spool = @DIR@/spool

[service %s]
listen = %s
exec = /bin/cat
handoff = spawn
"""


def connect():
    return socket.create_connection(("127.0.0.1", PORT), timeout=20)


def ask(sock):
    with sock:
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"


def client():
    ask(connect())


class Load:
    """Clients without a pause, until it is left."""

    def __init__(self, number):
        self.stop = threading.Event()
        self.wrongs, self.served = [], 0
        self.threads = [threading.Thread(target=self.run, daemon=True)
                        for _ in range(number)]

    def run(self):
        while not self.stop.is_set():
            try:
                client()
                self.served += 1
            except OSError as error:
                self.wrongs.append(repr(error))

    def __enter__(self):
        for thread in self.threads:
            thread.start()

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        assert not self.wrongs, self.wrongs[:5]
        assert self.served >= 5, self.served


def rewrite(service, *doors):
    usher.write(CONF % (service, "\nlisten = ".join(doors)))


def reload(service, *doors):
    rewrite(service, *doors)
    assert "no" not in usher.call("Plan")["result"].split(), doors
    assert usher.call("Reload")["result"] == "reloaded"
    assert [d["state"] for d in usher.service(service)["endpoints"]] == [
        "open"] * len(doors)
    client()


def sockets():
    """How many listen at the port, those that leave among them."""
    return sum(line.split()[1].endswith(f":{PORT:04X}") and
               line.split()[3] == "0A" for file in ("tcp", "tcp6")
               for line in open(f"/proc/net/{file}", encoding="ascii"))


ALL = [("a", f"tcp:*:{PORT}"), ("a", f"tcp:127.0.0.1:{PORT}"),
       ("a", f"tcp4:*:{PORT}"), ("b", f"tcp:*:{PORT}"),
       ("b", f"tcp4:127.0.0.1:{PORT}"), ("a", f"tcp:127.0.0.1:{PORT}")]
DEFER = [(service, door + " defer=yes") for service, door in ALL]

with Daemon(CONF % ALL[1]) as usher:
    client()
    with Load(4):
        for _ in range(dose(60)):
            for step in ALL:
                reload(*step)

    # No room: who waits in the old door's queue waits on.
    limit = " backlog=64\nmax_connections = 1"
    reload("a", f"tcp:127.0.0.1:{PORT}{limit}")
    first = connect()
    first.sendall(b"x")
    assert first.recv(1) == b"x"
    waiting = [connect() for _ in range(5)]
    rewrite("a", f"tcp:*:{PORT}{limit}")
    usher.run("reload")
    waiting += [connect() for _ in range(2)]
    first.close()
    with ThreadPoolExecutor(len(waiting)) as pool:
        list(pool.map(ask, waiting))
    reload("a", f"tcp:127.0.0.1:{PORT}")

    # Two of one file: refused, and nothing has changed.
    rewrite("a", f"tcp:127.0.0.1:{PORT}", f"tcp:*:{PORT}")
    done = usher.run("reload", status=1)
    assert f"tcp:*:{PORT}: no room beside " in done.stderr, done
    assert "a door of service a (" in done.stderr, done
    assert "of two that overlap one must go" in done.stderr, done
    client()
    # One that yields, but another door of the same file is wrong.
    rewrite("a", f"tcp:*:{PORT}", "tcp:192.0.2.77:1")
    usher.run("reload", status=1)
    client()
    reload("a", f"tcp:*:{PORT}")
    # In the end nothing of them is left.
    wait_for(lambda: sockets() == 1)

# A handshake that has not ended: with defer= it does when the client speaks.
# Whatever the doors do meanwhile, it is answered. (What leaves is kept longer
# than the test takes.)
with Daemon(CONF % ALL[1]) as usher:
    usher.check_fds = False
    for first, then in zip(DEFER, DEFER[1:] + DEFER[:1]):
        reload(*first)
        silent = [connect() for _ in range(3)]
        reload(*then)
        ask(silent.pop())
        reload(*first)
        ask(silent.pop())
        if first is DEFER[1]:
            usher.kill()
            usher.start()
        ask(silent.pop())
        client()
    # And a reload that fails.
    reload("a", f"tcp:*:{PORT} defer=yes")
    silent = connect()
    rewrite("a", f"tcp:127.0.0.1:{PORT} defer=yes", "tcp:192.0.2.77:1")
    with Load(2):
        for _ in range(3):
            usher.run("reload", status=1)
    ask(silent)
