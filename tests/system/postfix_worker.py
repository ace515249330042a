"""A worker of Postfix's protocol: postfix_worker.py FOLDER. The first to come
(it finds no FOLDER) hangs before it ever accepts; the others say who they are
and wait until their client leaves."""
import os
import select
import socket
import struct
import sys
import time


def say(avail):
    os.write(5, struct.pack("iIi", os.getpid(),
                            int(os.environ["GENERATION"], 8), avail))


try:
    os.mkdir(sys.argv[1])
    time.sleep(1000)
except FileExistsError:
    pass
door = socket.socket(fileno=6)
while True:
    ready = select.select([door, 5], [], [])[0]
    if 5 in ready:
        break
    try:
        client = door.accept()[0]
    except BlockingIOError:
        continue
    say(0)
    with client:
        client.setblocking(True)
        client.sendall(b"%d\n" % os.getpid())
        client.recv(100)
    say(1)
