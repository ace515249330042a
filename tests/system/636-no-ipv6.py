"""On a machine without IPv6 the door of all addresses is IPv4's alone; who
takes over finds it again, with what waits in its queue."""
import ctypes
import os
import platform
import struct
import sys

from harness import BINARY, Daemon, cannot
from continuity_lib import killed

timeout = 60

# The number of socket(2).
SOCKET = {"x86_64": 41, "aarch64": 198}.get(platform.machine())
CONF = """
[usher]
keeper = respawn
[service echo]
listen = tcp:*:@PORT:door@
exec = /bin/cat
"""


def without_ipv6():
    """socket(AF_INET6) says EAFNOSUPPORT, here and in all that follows."""
    code = [(0x20, 0, 0, 0), (0x15, 0, 3, SOCKET),  # load its number; is it?
            (0x20, 0, 0, 16), (0x15, 0, 1, 10),     # load the family; is it?
            (0x06, 0, 0, 0x00050000 | 97), (0x06, 0, 0, 0x7fff0000)]
    text = b"".join(struct.pack("HBBI", *line) for line in code)
    filters = ctypes.create_string_buffer(text)
    program = struct.pack("HxxxxxxP", len(code), ctypes.addressof(filters))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0          # no new privileges
    assert libc.prctl(22, 2, program, 0, 0) == 0, os.strerror(
        ctypes.get_errno())


if SOCKET is None:
    cannot("the number of socket(2) is not known here")
if sys.argv[1:]:
    without_ipv6()
    os.execv(sys.argv[1], sys.argv[1:])
with Daemon(CONF, fds=False,
            command=[sys.executable, __file__, BINARY, "serve", "-c",
                           "@DIR@/usher.ini"]) as usher:
    usher.call("Pause", service="echo")     # it waits in the queue
    with usher.client("echo") as client:
        client.sendall(b"here\n")
        killed(usher)
        usher.wait_log("0 records dropped")
        usher.call("Resume", service="echo")
        assert client.recv(10) == b"here\n"
