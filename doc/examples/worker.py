#!/usr/bin/python3
"""A worker of `handoff = pass`: each message brings one connection.

    [service hello]
    listen = tcp:*:7000
    exec = /usr/share/doc/usher/examples/worker.py
    handoff = pass
    workers = 2-8

Told to stop (SIGTERM) it finishes the client that it has; an empty message
is the other way in which usher says so. See usher-worker(7).
"""
import contextlib
import os
import select
import signal
import socket

door = socket.socket(fileno=int(os.environ["USHER_FD"]))
# A signal shows as a byte here, so that none comes between a message and its
# client: only the wait is interrupted.
wake, waker = os.pipe()
os.set_blocking(waker, False)
signal.set_wakeup_fd(waker)
signal.signal(signal.SIGTERM, lambda number, frame: None)


def arrivals():
    """Words and socket of each arrival, until it is time to go."""
    while True:
        if wake in select.select([door, wake], [], [])[0]:
            return
        try:
            data, fds, _, _ = socket.recv_fds(door, 65536, 1,
                                              socket.MSG_DONTWAIT)
        except BlockingIOError:
            continue            # another worker was faster
        if not data:
            return
        words = dict(word.split("=", 1)
                     for word in data.decode().split("\0") if "=" in word)
        yield words, socket.socket(fileno=fds[0])


for words, client in arrivals():
    # A client that leaves early is no reason to end.
    with client, contextlib.suppress(OSError):
        client.setblocking(True)
        client.sendall(f"hello from {os.getpid()}, connection "
                       f"{words['SO_COOKIE']}\n".encode())
