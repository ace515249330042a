"""The daemon opens its doors, serves who comes, is not ended by a signal that
means nothing to it, and leaves nothing behind."""
import os
import signal

from harness import Daemon, connect, receive_all, wait_for

parallel = True
plain = True

CONF = """
[service hello]
listen = tcp:127.0.0.1:@PORT@
exec = /bin/echo hello

[service cat]
listen = unix:@DIR@/cat
exec = /bin/cat
"""

with Daemon(CONF) as usher:
    for _ in range(5):
        with usher.client("hello") as client:
            assert receive_all(client) == b"hello\n"
    # One that stays does not keep another waiting.
    with usher.client("cat") as first, usher.client("cat") as second:
        for client in (second, first):
            client.sendall(b"here")
            assert client.recv(10) == b"here"
    for number in signal.SIGUSR1, signal.SIGUSR2:
        os.kill(usher.pid, number)
        wait_for(lambda: f"{number.name}: means nothing here" in usher.log)
    with usher.client("hello") as client:
        assert receive_all(client) == b"hello\n"
    door = usher.expand("tcp:127.0.0.1:@PORT@")
    assert usher.stop() == 0
    try:
        connect(door, 5)
    except ConnectionRefusedError:
        pass
    else:
        raise AssertionError("the door is open, and nobody is behind it")
