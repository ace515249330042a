"""Who is in, and how fast each came, is known after kill -9 and an upgrade:
numbers and rates of all and of each source hold on, and end with their
cause."""
import os
import signal

from continuity_lib import settled
from harness import Daemon, wait_for

timeout = 120

LIMITS = """
accept_proxy = 127.0.0.0/8
max_per_source = 2
max_connections = 3
on_full = refuse
"""

CONF = """
[service echo]
listen = tcp:127.0.0.1:@PORT:echo@
builtin = echo
@LIMITS@

[service discard]
listen = tcp:127.0.0.1:@PORT:discard@
builtin = discard
@LIMITS@

[service relay]
listen = tcp:127.0.0.1:@PORT:relay@
relay = tcp:127.0.0.1:@PORT:up@
@LIMITS@

[service up]
listen = tcp:127.0.0.1:@PORT:up@
builtin = echo

[service spawn]
listen = tcp:127.0.0.1:@PORT:spawn@
exec = /bin/cat
@LIMITS@

[service pass]
listen = tcp:127.0.0.1:@PORT:pass@
exec = /usr/bin/python3 @TESTS@/reporting_echo.py
handoff = pass
reports = yes
pick = leastconn
workers = 1
worker_connections = 10
settle = 0
@LIMITS@

[service users]
listen = unix:@DIR@/users
exec = /bin/cat
max_per_source = 2

[service rates]
listen = tcp:127.0.0.1:@PORT:rates@
builtin = echo
accept_proxy = 127.0.0.0/8
rate_per_source = 1/min burst=3

[service rate]
listen = tcp:127.0.0.1:@PORT:rate@
builtin = echo
rate = 1/min burst=3
on_rate = refuse
""".replace("@LIMITS@", LIMITS)

ONE, TWO, THREE = "192.0.2.1", "192.0.2.2", "2001:db8::1"
ALL = "echo", "discard", "relay", "spawn", "pass"


def come(service, source=None):
    client = usher.client(service)
    if source:
        kind, here = ("TCP6", "::1") if ":" in source else \
            ("TCP4", "127.0.0.1")
        client.sendall(f"PROXY {kind} {source} {here} 1000 1\r\n".encode())
    return client


def has_ended(client):
    try:
        return client.recv(1000) == b""
    except ConnectionError:
        return True


def let_in(service, source=None):
    """Echoed, and gone again."""
    with come(service, source) as client:
        try:
            client.sendall(b"x")
            return client.recv(1) == b"x"
        except ConnectionError:
            return False


def inside(service):
    status = usher.service(service)
    return status["inside"], status["sources"]


def refused(service):
    return usher.service(service)["refused"]


def upgrade():
    try:
        usher.call("Upgrade")
    except ConnectionError:
        pass
    settled(usher)


def kill_and_start():
    os.kill(usher.pid, signal.SIGKILL)
    usher.proc.wait()
    usher.start()


def expect(name):
    """Two sources, three in: full for each and for all."""
    wait_for(lambda: inside(name) == (3, 2), what=f"{name}: 3 of 2 sources")
    before = refused(name)
    for source in ONE, THREE:
        with come(name, source) as client:
            assert has_ended(client), (name, source)
    after = refused(name)
    assert after.get("source", 0) == before.get("source", 0) + 1, \
        (name, before, after)
    assert after.get("full", 0) == before.get("full", 0) + 1, \
        (name, before, after)


def spend():
    for _ in range(3):
        assert let_in("rates", ONE) and let_in("rate")
    assert let_in("rates", TWO)


def expect_spent():
    assert not let_in("rates", ONE), "its source came too fast before"
    assert not let_in("rate"), "all came too fast before"


with Daemon(CONF) as usher:
    here = {name: [come(name, source) for source in (ONE, ONE, TWO)]
            for name in ALL}
    users = [usher.client("users") for _ in range(2)]
    spend()
    for change in kill_and_start, upgrade, kill_and_start:
        for name in ALL:
            expect(name)
        wait_for(lambda: inside("users") == (2, 1))
        change()
    for name in ALL:
        expect(name)
    with usher.client("users") as third:
        assert has_ended(third)
    expect_spent()
    assert [let_in("rates", TWO) for _ in range(3)] == [True, True, False]

    # A limit ends with its cause, and only then.
    for name in ALL:
        here[name].pop(0).close()
        wait_for(lambda: inside(name) == (2, 2), what=f"{name}: 2 inside")
        here[name].append(come(name, ONE))
        expect(name)
        for client in here[name]:
            client.close()
    for client in users:
        client.close()
    for name in (*ALL, "users"):
        wait_for(lambda: inside(name) == (0, 0), what=f"{name}: nobody")
