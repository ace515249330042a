"""A stream server for inetd's wait: serves two clients, then leaves."""
import os
import socket

door = socket.socket(fileno=0)
assert os.fstat(1).st_ino == os.fstat(0).st_ino == os.fstat(2).st_ino
for _ in range(2):
    door.settimeout(5)
    try:
        client, _ = door.accept()
    except OSError:
        break
    with client:
        client.sendall(b"%d\n" % os.getpid())
