"""A door changes to a name that overlaps the old one and back at reloads:
tcp:127.0.0.1:P, tcp:*:P, tcp4:*:P, another service. Nobody who connects all
the while is refused, and doors that overlap and both stay are told."""
import socket
import threading
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "system"))
from harness import Daemon, free_port

group = "soak"

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


def client():
    with socket.create_connection(("127.0.0.1", PORT), timeout=20) as sock:
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"


stop = threading.Event()
wrongs, served = [], []


def load():
    while not stop.is_set():
        try:
            client()
            served.append(1)
        except OSError as error:
            wrongs.append(repr(error))


with Daemon(CONF % ("a", f"tcp:127.0.0.1:{PORT}")) as usher:
    def rewrite(service, *doors):
        usher.write(CONF % (service, "\nlisten = ".join(doors)))

    def reload(service, *doors):
        rewrite(service, *doors)
        assert "no" not in usher.call("Plan")["result"].split(), doors
        assert usher.call("Reload")["result"] == "reloaded"
        assert [d["state"] for d in usher.service(service)["endpoints"]] == [
            "open"] * len(doors)
        client()

    client()
    thread = threading.Thread(target=load, daemon=True)
    thread.start()
    for _ in range(20):
        reload("a", f"tcp:*:{PORT}")
        reload("a", f"tcp:127.0.0.1:{PORT}")
        reload("a", f"tcp4:*:{PORT}")
        reload("b", f"tcp:*:{PORT}")
        reload("b", f"tcp4:127.0.0.1:{PORT}")
        reload("a", f"tcp:127.0.0.1:{PORT}")
    stop.set()
    thread.join()
    assert not wrongs, wrongs[:5]
    assert len(served) >= 5, len(served)

    # One that stays, and one beside it: refused, and nothing has changed.
    rewrite("a", f"tcp:127.0.0.1:{PORT}", f"tcp:*:{PORT}")
    done = usher.run("reload", status=1)
    assert f"tcp:*:{PORT}: no room beside " in done.stderr, done
    assert "a door of a that stays; of two that overlap" in done.stderr, done
    client()
    # One that yields, but another door of the same file is wrong.
    rewrite("a", f"tcp:*:{PORT}", "tcp:192.0.2.77:1")
    usher.run("reload", status=1)
    client()
    reload("a", f"tcp:*:{PORT}")
