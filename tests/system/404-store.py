"""The store: descriptors held by name for others, their limits and expiry;
fetched by running a program with LISTEN_FDS; doors lent and given back."""
import os
import socket
import subprocess
import sys

from harness import (BINARY, CallError, Daemon, PYTHON, popen, stopped,
                     wait_for)

CONF = """
[service hello]
listen = tcp:127.0.0.1:@PORT@
listen = unix:@DIR@/hello name=second
exec = /bin/echo usher

[service shared]
listen = unix:@DIR@/shared
exec = /usr/bin/python3 @TESTS@/share_worker.py serve
handoff = share
"""

# Answers on every descriptor it was given, and says that it is there.
BORROWER = """
import os, selectors, socket, sys
assert os.environ["LISTEN_PID"] == str(os.getpid()), os.environ
n = int(os.environ["LISTEN_FDS"])
print(n, os.environ["LISTEN_FDNAMES"], flush=True)
choose = selectors.DefaultSelector()
for fd in range(3, 3 + n):
    os.set_blocking(fd, False)
    choose.register(socket.socket(fileno=fd), selectors.EVENT_READ)
extra = [f for f in os.listdir("/proc/self/fd") if int(f) >= 3 + n]
while True:
    for key, _ in choose.select():
        try:
            client, _ = key.fileobj.accept()
        except BlockingIOError:
            continue
        client.sendall(b"borrower\\n")
        client.close()
"""


def says(service, which=0):
    with usher.client(service, which) as client:
        return client.makefile().readline().strip()


def names():
    return {item["name"]: item for item in usher.call("ListStore")["names"]}


def message(method, fds=(), **parameters):
    try:
        usher.call(method, fds, **parameters)
    except CallError as error:
        return error.parameters["message"]
    raise AssertionError(f"{method} did not fail")


with Daemon(CONF) as usher:
    # Held by name, in order, through the death of who brought them.
    read, write = os.pipe()
    with open(usher.file, "rb") as file:
        assert usher.call("Store", [file.fileno(), write, read],
                          name="some.thing")["result"] == \
            "some.thing: 3 descriptors held"
    os.close(read)
    reply, fds = usher.call_fds("Fetch", name="some.thing")
    assert reply["names"] == ["some.thing"] * 3
    assert os.pread(fds[0], 8, 0) == b"[usher]\n"
    os.write(write, b"through")
    assert os.read(fds[2], 10) == b"through"
    for fd in fds:
        os.close(fd)
    assert names()["some.thing"]["descriptors"] == 3
    assert "only a service's doors" in message("Fetch", name="some.thing",
                                               lease=True)

    # As LISTEN_FDS, by a program of the user's.
    done = usher.run("fetch", "some.thing", "--", "/bin/sh", "-c",
                     "echo $LISTEN_FDS $LISTEN_FDNAMES; "
                     "test $LISTEN_PID = $$ && head -n 1 <&3")
    assert done.stdout == "3 some.thing:some.thing:some.thing\n[usher]\n", done
    usher.run("fetch", "some.thing", "--", "/nonexistent/program", status=1)
    usher.run("fetch", "some.thing", status=2)
    listing = usher.run("store", "--list").stdout.splitlines()
    assert listing[0] == "1 name" and listing[2].split() == \
        ["some.thing", "3", "0"], listing
    assert usher.run("forget", "some.thing").stdout == \
        "some.thing: 3 descriptors closed\n"
    usher.run("forget", "some.thing", status=1)
    usher.run("fetch", "some.thing", "--", "true", status=1)
    os.close(write)

    # Several by --fd, and standard input.
    a, b = socket.socketpair()
    usher.run("store", "pair", "--fd", str(a.fileno()), "--fd",
              str(b.fileno()), pass_fds=(a.fileno(), b.fileno()))
    assert names()["pair"]["descriptors"] == 2
    usher.run("store", "input")
    assert names()["input"]["descriptors"] == 1
    usher.run("store", "bad", "--fd", "77", status=2)
    # None is left out in silence.
    done = usher.run("store", "many", *["--fd", "0"] * 65, status=2)
    assert "--fd more than 64 times" in done.stderr, done

    # Names as LISTEN_FDNAMES allows, no others.
    for bad in ("", "a:b", "a b", "a\n", "ä", "x" * 120):
        assert "name" in message("Store", [a.fileno()], name=bad), bad
    usher.call("Store", [a.fileno()], name="x" * 119)
    usher.call("Forget", name="x" * 119)

    # They expire.
    usher.call("Store", [a.fileno()], name="soon", expire="300ms")
    usher.call("Store", [a.fileno()], name="later", expire="1h")
    assert 3500 < names()["later"]["expires"] <= 3600
    wait_for(lambda: "soon" not in names())
    usher.wait_log("store: soon expired")
    assert set(names()) == {"pair", "input", "later"}

    # 64 a user; all of a call or none of it.
    usher.call("Store", [a.fileno()] * 60, name="many")
    assert "64 of a user" in message("Store", [a.fileno()], name="more")
    usher.call("Forget", name="many")
    assert "64 of a user" in message("Store", [a.fileno()] * 61, name="many")
    assert "many" not in names()
    # Another user has 64 of its own: 1024 in all are more than one has.
    for name in ("pair", "input", "later"):
        usher.call("Forget", name=name)
    a.close()
    b.close()

    # A door is lent: its borrower accepts, usher looks away, and accepts
    # again once the borrower has ended. Nobody is refused.
    assert says("hello") == says("hello", 1) == "usher"
    borrower = popen([BINARY, "fetch", "hello", "--lease", "--", PYTHON, "-c",
                      BORROWER], stdout=subprocess.PIPE, text=True,
                     env=usher.environment())
    assert borrower.stdout.readline() == "2 hello:second\n"
    doors = usher.service("hello")["endpoints"]
    assert [door["state"] for door in doors] == ["lent", "lent"], doors
    for _ in range(20):
        assert says("hello") == says("hello", 1) == "borrower"
    assert f"lent to pid {borrower.pid}" in message(
        "Fetch", name="hello", lease=True)
    # Killed without a word: the door is back.
    borrower.kill()
    for _ in range(20):
        assert says("hello") in ("usher", "borrower")
    borrower.wait()
    wait_for(lambda: usher.service("hello")["endpoints"][0]["state"] ==
             "open")
    assert says("hello") == says("hello", 1) == "usher"
    usher.wait_log(f"its doors are back: pid {borrower.pid} has ended")
    stopped(borrower)
    borrower.stdout.close()

    # Without a lease both accept; a door that workers share can't be lent.
    _, fds = usher.call_fds("Fetch", name="hello")
    assert len(fds) == 2
    for fd in fds:
        os.close(fd)
    assert "can't be left alone" in message("Fetch", name="shared",
                                            lease=True)
sys.exit(0)
