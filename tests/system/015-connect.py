"""usher connect: both directions, half-close, packets, deadlines, and errors
that name the stage and the cure."""
import os
import socket
import subprocess
import tempfile
import threading

from harness import BINARY, DEADLINE

parallel = True


def connect(*words, data=b""):
    return subprocess.run([BINARY, "connect", *words], input=data,
                          capture_output=True, timeout=DEADLINE)


def serve(listener, answer):
    def run():
        client, _ = listener.accept()
        with client:
            answer(client)
    thread = threading.Thread(target=run)
    thread.start()
    return thread


def count(client):
    """Answers only after the end of what it gets."""
    total = 0
    while piece := client.recv(65536):
        total += len(piece)
    client.sendall(b"x" * total)


def failed(done, status, *parts):
    assert done.returncode == status, done
    text = done.stderr.decode()
    assert text.count("\n") == 1, text
    for part in parts:
        assert part in text, text


big = b"0" * 3_000_000
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "s")
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(path)
        door.listen(1)
        thread = serve(door, count)
        done = connect("unix:" + path, data=big)
        assert done.returncode == 0 and done.stdout == b"x" * len(big), done.stderr
        thread.join()

        # Nobody accepts: the answer's deadline, then the full queue's.
        failed(connect("unix:" + path, "--timeout", "200ms", data=b"x"),
               1, "answer", "--timeout")
        held = []
        while True:
            one = socket.socket(socket.AF_UNIX)
            one.setblocking(False)
            held.append(one)
            if one.connect_ex(path) != 0:
                break
        failed(connect("unix:" + path, "--timeout", "200ms"),
               1, "connect", "queue is full")
        for one in held:
            one.close()

    # The path is still there and dead.
    failed(connect("unix:" + path), 1, "connect", "nobody listens there")
    failed(connect("unix:" + path + "-none"), 1, "connect", "no socket is there")

    packets = os.path.join(folder, "q")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
        door.bind(packets)
        door.listen(1)
        thread = serve(door, lambda c: c.send(c.recv(100) + b" back"))
        done = connect("unix-seqpacket:" + packets, data=b"one")
        assert (done.returncode, done.stdout) == (0, b"one back"), done
        thread.join()
        failed(connect("unix:" + packets), 1, "unix-seqpacket: would do")

with socket.create_server(("127.0.0.1", 0)) as door:
    port = door.getsockname()[1]
    thread = serve(door, count)
    done = connect("-v", f"tcp:localhost:{port}", data=b"12345")
    assert (done.returncode, done.stdout) == (0, b"x" * 5), done
    assert f"connected to 127.0.0.1:{port}" in done.stderr.decode()
    thread.join()
    # The peer reads nothing: writing has a deadline too.
    failed(connect(f"tcp:127.0.0.1:{port}", "--timeout", "300ms",
                   data=big * 10), 1, "write", "too slow or stuck")

failed(connect("tcp:127.0.0.1:no-such-port"), 1, "resolve", "services(5)")
failed(connect("udp:*:69"), 2, "tcp:, unix: or unix-seqpacket:")
failed(connect("tcp:80"), 2, "tcp:*:PORT")
failed(connect("unix:/x", "--timeout", "5"), 2, "500ms")
failed(connect("unix:/x", "--nonsense"), 2, "--help")
failed(connect(), 2, "ADDRESS")
assert connect("--help").stdout.startswith(b"usage: usher connect ADDRESS")
