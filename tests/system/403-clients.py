"""Slow, endless, silent and very many clients: each is bounded, none stops
another, and the administrator always gets in."""
import json
import os
import socket
import time

from harness import Control, Daemon, wait_for

timeout = 180

CONF = """
[service hello]
listen = unix:@DIR@/hello
exec = /bin/cat
"""


def open_client():
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(30)
    sock.connect(usher.control)
    return sock


def is_closed(sock):
    sock.setblocking(False)
    try:
        return sock.recv(65536) == b"" or is_closed(sock)
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


with Daemon(CONF) as usher:
    # 200 that say a byte now and then, and 20 that say nothing.
    slow = [open_client() for _ in range(200)]
    silent = [open_client() for _ in range(20)]
    for sock in slow:
        sock.sendall(b"{")

    # Others are served meanwhile, 100 of them at once and in good time.
    began = time.monotonic()
    many = []
    for i in range(30):
        many.append(Control(usher.control))
        many[-1].send("Status")
    for control in many:
        assert control.reply()["pid"] == usher.pid
        control.sock.close()
    assert time.monotonic() - began < 10

    # A message without an end is cut at its limit and said.
    with open_client() as sock:
        sock.settimeout(30)
        try:
            for _ in range(64):
                sock.sendall(b"{" + b" " * 65535)
        except (BrokenPipeError, ConnectionError):
            pass
        try:
            text = sock.recv(1000)
        except ConnectionError:
            text = b""
        assert text == b"" or b"longer than it may be" in text, text

    # Who does not read is dropped, and the answers are not kept for ever.
    lazy = open_client()
    lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    lazy.setblocking(False)
    call = json.dumps({"method": "org.usher.GetMetrics"}).encode() + b"\0"
    try:
        while True:
            lazy.send(call * 10)
    except BlockingIOError:
        pass

    with open(f"/proc/{usher.pid}/statm", encoding="ascii") as file:
        pages = int(file.read().split()[1])
    for sock in slow:
        try:
            sock.sendall(b" ")
        except (BrokenPipeError, ConnectionError):
            pass
    wait_for(lambda: all(is_closed(s) for s in slow), 40,
             "slow clients dropped")
    wait_for(lambda: all(is_closed(s) for s in silent), 40,
             "silent clients dropped")
    wait_for(lambda: usher.call("Status")["clients"] == 1, 40,
             "the lazy client dropped")
    with open(f"/proc/{usher.pid}/statm", encoding="ascii") as file:
        grown = (int(file.read().split()[1]) - pages) * os.sysconf(
            "SC_PAGE_SIZE")
    with open(f"/proc/{usher.pid}/maps", encoding="ascii") as file:
        quarantine = "libasan" in file.read()   # keeps what was freed
    assert quarantine or grown < 16 << 20, grown
    for sock in slow + silent + [lazy]:
        sock.close()

    # At most so many, and then a word.
    crowd = [open_client() for _ in range(300)]
    refused = 0
    for sock in crowd[250:]:
        try:
            refused += b"Busy" in sock.recv(1000)
        except (TimeoutError, ConnectionError):
            break
    assert refused >= 40, refused
    for sock in crowd:
        sock.close()
    wait_for(lambda: usher.call("Status")["clients"] == 1)
