"""A worker of Postfix's protocol that holds many clients, as proxymap does:
herd_worker.py FOLDER N. All N are woken for the first client; each accepts only
once all are awake, so that all but one come too late, and say so there."""
import os
import select
import socket
import struct
import sys
import time

FOLDER = sys.argv[1]
ALL = int(sys.argv[2])


def note(word):
    open(f"{FOLDER}/{word}.{os.getpid()}", "w").close()


def noted(word):
    return sum(name.startswith(word) for name in os.listdir(FOLDER))


def say(avail):
    os.write(5, struct.pack("iIi", os.getpid(),
                            int(os.environ["GENERATION"], 8), avail))


door = socket.socket(fileno=6)
watched = [door, 5]
first = True
note("waits")
while True:
    ready = select.select(watched, [], [])[0]
    if 5 in ready:
        break
    if door in ready:
        note("woken")
        while first and noted("woken") < ALL:
            time.sleep(0.001)
        first = False
        try:
            watched.append(door.accept()[0])
        except BlockingIOError:
            note("late")
    for client in ready:
        if client in (door, 5):
            continue
        say(0)
        if client.recv(100):
            client.sendall(b"%d\n" % os.getpid())
        else:
            watched.remove(client)
            client.close()
        say(1)
