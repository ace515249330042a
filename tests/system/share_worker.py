"""Workers that accept for themselves: share_worker.py HOW."""
import os
import select
import signal
import socket
import sys
import time

how = sys.argv[1]
fds = " ".join(sorted(fd for fd in os.listdir("/proc/self/fd")
                      if os.path.exists(f"/proc/self/fd/{fd}")))
wake, waker = os.pipe()
os.set_blocking(waker, False)
signal.set_wakeup_fd(waker)
signal.signal(signal.SIGTERM, lambda number, frame: None)

if how in ("wait", "stdin"):
    doors = [socket.socket(fileno=0)]
else:
    doors = [socket.socket(fileno=3 + n)
             for n in range(int(os.environ["LISTEN_FDS"]))]
    own = "own" if os.environ["LISTEN_PID"] == str(os.getpid()) else "other"
    text = (f"LISTEN_FDS={os.environ['LISTEN_FDS']} "
            f"NAMES={os.environ['LISTEN_FDNAMES']} PID={own} fds={fds}\n")
if how == "plain":
    # Knows nothing of EAGAIN: an accept that does not wait ends it.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    while True:
        with doors[0].accept()[0] as client:
            client.sendall(b"%d\n" % os.getpid())
if how == "late":                   # ready after a while, and says so
    time.sleep(float(sys.argv[2]))
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.connect("\0" + os.environ["NOTIFY_SOCKET"][1:])
    notify.send(b"READY=1")
for door in doors:
    door.setblocking(False)     # others select on it too
while True:
    ready = select.select([*doors, wake], [], [])[0]
    if wake in ready:
        break
    for door in ready:
        try:
            client = door.accept()[0]
        except BlockingIOError:
            continue
        client.setblocking(True)
        if how == "told":
            client.sendall(b"waits" if os.get_blocking(door.fileno())
                           else b"does not wait")
        elif how == "systemd":
            client.sendall(text.encode())
        else:
            client.sendall(b"%d\n" % os.getpid())
        if how == "stay":
            client.recv(100)
        client.close()
        if how == "wait":
            sys.exit(0)
