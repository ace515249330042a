"""An upgraded image goes on with the configuration as its rehearsal made it
from the text, each time with what is in force then."""
import os

from harness import Daemon, connect, receive_all
from continuity_lib import settled

parallel = True

CONF = """
[usher]
control = unix:@DIR@/control
keeper = yes
[service hello]
listen = unix:@DIR@/hello
exec = /bin/echo %d
"""
MADE = 16                       # its descriptor, until it is mapped


def is_mapped(usher):
    with open(f"/proc/{usher.pid}/maps", encoding="ascii") as maps:
        return "memfd:usher-made" in maps.read()


def is_open(usher):
    return "usher-made" in os.readlink(f"/proc/{usher.pid}/fd/{MADE}")


with Daemon(CONF % 1, fds=False) as usher:
    assert not is_mapped(usher)
    for word in (1, 2):
        usher.write(CONF % word)
        usher.call("Reload")
        usher.run("upgrade")
        settled(usher)
        assert is_mapped(usher) and not is_open(usher)
        with connect(usher.address("hello")) as sock:
            assert receive_all(sock) == f"{word}\n".encode()
