"""Descriptors where none, one or another kind is wanted: a clear error each,
and after 10,000 of them (a twentieth in a check) as many are open in usher as
before."""
import os
import resource
import socket

from harness import (CallError, Control, Daemon, descriptors, dose,
                     wait_for)

full = 600

CONF = """
[service hello]
listen = unix:@DIR@/hello
exec = /bin/cat

[service job]
exec = /bin/true
trigger = unix:@DIR@/trigger
"""


def error_of(method, fds, **parameters):
    try:
        usher.call(method, fds, **parameters)
    except CallError as error:
        return error.name.rpartition(".")[2], error.parameters["message"]
    return None, ""


def unclosed():
    return len(descriptors(usher.pid))


with Daemon(CONF) as usher, \
        open(usher.file, encoding="utf-8") as file, \
        socket.socket() as plain, socket.socket() as listening, \
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dgram, \
        socket.socket(socket.AF_UNIX) as own:
    own.connect(usher.control)
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    a, b = socket.socketpair()
    folder = os.open("/", os.O_RDONLY)
    path = os.open("/", os.O_PATH)
    read, write = os.pipe()
    before = unclosed()
    kinds = {
        ("Inject", 0): "no descriptor came",
        ("Inject", file.fileno()): "a socket is wanted",
        ("Inject", plain.fileno()): "not connected",
        ("Inject", listening.fileno()): "this one listens",
        ("Inject", dgram.fileno()): "stream or seqpacket",
        ("Inject", path): "O_PATH",
        ("Inject", folder): "directory",
        ("Inject", read): "a socket is wanted",
        ("Adopt", 0): "no descriptor came",
        ("Adopt", file.fileno()): "a socket is wanted",
        ("Adopt", a.fileno()): "does not listen",
        ("Adopt", plain.fileno()): "does not listen",
        ("Adopt", dgram.fileno()): "datagrams",
        ("Adopt", own.fileno()): "does not listen",
        ("Store", 0): "none came",
        ("Store", folder): "directory",
        ("Store", path): "O_PATH",
        ("Store", own.fileno()): "control connection",
    }
    for (method, fd), words in kinds.items():
        parameters = {"name": "x"} if method == "Store" else \
            {"service": "hello"}
        name, message = error_of(method, [fd] if fd else [], **parameters)
        assert name == "WrongDescriptor", (method, words, name, message)
        assert words in message, (method, words, message)
    assert error_of("Inject", [a.fileno()], service="hello", fd=1)[0] == \
        "InvalidParameter"
    assert error_of("Inject", [a.fileno()], service="hello", fd=-1)[0] == \
        "InvalidParameter"
    for method in ("Inject", "Adopt"):
        parameters = {"service": "nobody"}
        if method == "Inject":
            assert error_of(method, [a.fileno()], **parameters)[0] == \
                "NoSuchService"
    assert not usher.call("ListStore")["names"]
    wait_for(lambda: unclosed() == before, what=f"{before} descriptors")

    # More than is wanted, and on what wants none.
    for many in (2, 10, 253):
        fds = [read] * many
        assert error_of("Inject", fds, service="hello")[0] == \
            "WrongDescriptor"
        usher.call("Status", fds)
        assert error_of("Pause", fds, service="nobody")[0] == "NoSuchService"
        assert error_of("Nothing", fds)[0] == "MethodNotFound"
    wait_for(lambda: unclosed() == before, what=f"{before} descriptors")

    # The second of two that come is the one that is meant.
    c, d = socket.socketpair()
    usher.call("Inject", [read, d.fileno()], service="hello", fd=1)
    d.close()
    c.sendall(b"ahoy")
    assert c.recv(10) == b"ahoy"
    c.close()

    # A pipelined second call with a descriptor of its own.
    c, d = socket.socketpair()
    with Control(usher.control) as control:
        control.send("Status")
        control.send("Inject", [d.fileno()], service="hello")
        control.send("Status")
        assert "services" in control.reply()
        assert "arrived" in control.reply()["result"]
        assert "services" in control.reply()
    d.close()
    c.sendall(b"once more")
    assert c.recv(20) == b"once more"
    c.close()
    usher.call("Status")
    wait_for(lambda: usher.service("hello")["workers"] == [])

    # Dies in the middle of a message that had some; 10,000 of all that.
    for i in range(dose(10000)):
        if i % 10 == 9:
            (method, fd), _ = list(kinds.items())[i // 10 % len(kinds)]
            parameters = {"name": "x"} if method == "Store" else \
                {"service": "hello"}
            assert error_of(method, [fd] if fd else [], **parameters)[0] == \
                "WrongDescriptor"
            continue
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(20)
            sock.connect(usher.control)
            kind = i % 5
            if kind == 0:
                socket.send_fds(sock, [b'{"method":"org.usher.Inj'],
                                [read] * 20)
            elif kind == 1:
                socket.send_fds(sock, [b"inject hello\n"], [read] * 3)
                assert b"WrongDescriptor" in sock.recv(1000)
            elif kind == 2:
                socket.send_fds(sock, [b"x"], [read, write])
                socket.send_fds(sock, [b"y"], [read] * 253)
            elif kind == 3:
                socket.send_fds(sock, [b"status nobody\n"], [listening.fileno()])
                assert b"NoSuchService" in sock.recv(1000)
            else:
                socket.send_fds(sock, [b"{]\0"], [a.fileno()] * 9)
                assert b"error" in sock.recv(1000)
    wait_for(lambda: unclosed() == before, what=f"{before} descriptors")

    # Control data cut off: usher has no number free for what comes.
    with Control(usher.control) as control:
        control.send("Status")
        control.reply()
        soft, hard = resource.prlimit(usher.pid, resource.RLIMIT_NOFILE)
        few = max(descriptors(usher.pid)) + 4
        resource.prlimit(usher.pid, resource.RLIMIT_NOFILE, (few, hard))
        control.send("Status", [read] * 50)
        try:
            control.reply()
            raise AssertionError("it was answered")
        except CallError as error:
            assert "cut off" in error.parameters["message"], error
        # And the administrator still gets in.
        assert usher.call("Status")["pid"] == usher.pid
        resource.prlimit(usher.pid, resource.RLIMIT_NOFILE, (soft, hard))
    wait_for(lambda: unclosed() == before, what=f"{before} descriptors")
    for fd in (folder, path, read, write):
        os.close(fd)
    a.close()
    b.close()
