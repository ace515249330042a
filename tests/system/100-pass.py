"""A Python worker under `pass` serves who connects, by TCP and Unix, is told
who it is, has no descriptor but its own, and goes when the queue ends."""
from harness import Daemon, TOP, receive_all, wait_for

parallel = True

CONF = f"""
[service hello]
listen = tcp:127.0.0.1:@PORT@
listen = unix:@DIR@/hello
exec = {TOP}/doc/examples/worker.py
handoff = pass
workers = 2

[service words]
listen = tcp:127.0.0.1:@PORT:words@
listen = unix:@DIR@/words
exec = /usr/bin/python3 @TESTS@/pass_worker.py words
handoff = pass
"""

with Daemon(CONF) as usher:
    for which in (0, 1):
        for _ in range(10):
            with usher.client("hello", which) as client:
                assert receive_all(client).startswith(b"hello from ")
    assert len(usher.workers("hello")) == 2
    assert usher.service("hello")["served"] == 20
    assert usher.service("hello")["state"] == "running"

    with usher.client("words") as client:
        address, port = client.getsockname()
        words = dict(line.split("=", 1) for line in
                     receive_all(client).decode().splitlines() if "=" in line)
    assert words["PROTO"] == "TCP", words
    assert words["TCPREMOTEIP"] == words["REMOTE_ADDR"] == address, words
    assert words["TCPREMOTEPORT"] == words["REMOTE_PORT"] == str(port), words
    assert words["TCPLOCALPORT"] == str(usher.port("words")), words
    assert int(words["SO_COOKIE"]) > 0, words
    assert words["USHER_SERVICE"] == "words", words
    assert words["USHER_GENERATION"] == "1", words
    assert words["QUEUED"] == "0", words
    # What the worker has open: null, the log twice, its queue.
    assert words["fds"] == "0 1 2 3", words
    assert words["kind"] == "connection", words

    with usher.client("words", 1) as client:
        words = dict(line.split("=", 1) for line in
                     receive_all(client).decode().splitlines() if "=" in line)
    assert words["PROTO"] == "UNIX", words
    assert words["UNIXLOCALPATH"] == usher.expand("@DIR@/words"), words
    assert "UNIXREMOTEEUID" in words, words

    # A client's FIN comes with the worker's close: nobody keeps a copy.
    pids = usher.workers("hello")
    usher.stop()
    assert "killed" not in usher.log, usher.log
    wait_for(lambda: not any(map(lambda pid: pid in usher.leftovers(), pids)))
