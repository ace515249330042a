"""A worker after Einhorn's published protocol. While the file in argv[1] is
there it serves but does not ack."""
import json
import os
import selectors
import socket
import sys
import time
import urllib.parse

count = int(os.environ["EINHORN_FD_COUNT"])
doors = [socket.socket(fileno=int(os.environ[f"EINHORN_FD_{n}"]))
         for n in range(count)]


def ack():
    """One line, YAML with % and newline escaped."""
    text = f"---\ncommand: worker:ack\npid: {os.getpid()}\n"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(os.environ["EINHORN_SOCK_PATH"])
        sock.sendall(urllib.parse.quote(text, safe=": -").encode() + b"\n")


end = time.monotonic() + 15
while os.path.exists(sys.argv[1]) and time.monotonic() < end:
    time.sleep(0.02)
ack()
watch = selectors.DefaultSelector()
for door in doors:
    door.setblocking(False)
    watch.register(door, selectors.EVENT_READ)
while True:
    for key, _ in watch.select():
        try:
            client, _ = key.fileobj.accept()
        except BlockingIOError:
            continue
        with client:
            client.sendall(json.dumps({
                "pid": os.getpid(), "parent": os.getppid(), "count": count,
                "master": int(os.environ["EINHORN_MASTER_PID"]),
                "generation": os.environ["USHER_GENERATION"],
            }).encode())
