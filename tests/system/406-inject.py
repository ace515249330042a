"""A connection given to usher arrives like any other: admitted, counted,
handed on, refused."""
import os
import socket

from harness import Daemon, wait_for

CONF = """
[service cat]
listen = unix:@DIR@/cat
exec = /bin/cat

[service none]
listen = tcp:127.0.0.1:@PORT@
exec = /bin/cat
deny = 127.0.0.0/8

[service pool]
listen = unix:@DIR@/pool
exec = /usr/bin/python3 @TESTS@/pass_worker.py echo
handoff = pass

[service shared]
listen = unix:@DIR@/shared
exec = /usr/bin/python3 @TESTS@/share_worker.py serve
handoff = share
"""

with Daemon(CONF) as usher:
    a, b = socket.socketpair()
    done = usher.run("inject", "cat", "--fd", str(b.fileno()),
                     pass_fds=(b.fileno(),))
    assert done.stdout == "cat: has arrived\n", done
    b.close()
    a.settimeout(20)
    a.sendall(b"hello")
    assert a.recv(10) == b"hello"
    status = usher.service("cat")
    assert status["arrivals"] == 1 and len(status["workers"]) == 1, status
    connection = usher.call("Connections", service="cat")["connections"][0]
    assert connection["worker"] == status["workers"][0]["pid"]
    a.close()
    wait_for(lambda: usher.service("cat")["served"] == 1)

    # TCP: rules judge it.
    with socket.create_server(("127.0.0.1", 0)) as door:
        client = socket.create_connection(door.getsockname(), 20)
        served, _ = door.accept()
        done = usher.run("inject", "none", "--fd", str(served.fileno()),
                         pass_fds=(served.fileno(),), status=1)
        assert "refused: denied" in done.stderr, done
        assert usher.service("none")["refused"] == {"denied": 1}
        served.close()
        assert client.recv(1) == b""
        client.close()

    a, b = socket.socketpair()
    usher.call("Pause", service="cat")
    assert usher.error("Inject", [b.fileno()], service="cat") == \
        "org.usher.Busy"
    usher.call("Resume", service="cat")
    assert usher.error("Inject", [b.fileno()], service="shared") == \
        "org.varlink.service.InvalidParameter"
    usher.call("Inject", [b.fileno()], service="pool")
    b.close()
    a.settimeout(20)
    a.sendall(b"ahoy")
    assert a.recv(100)
    a.close()
    usher.run("inject", "cat", status=1, stdin="")   # a pipe or file is none
    usher.run("inject", "cat", "--fd", "x", status=2)
    assert os.path.exists(usher.control)
