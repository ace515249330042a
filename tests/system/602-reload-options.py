"""Options of a door that stays are changed on its live socket by a reload, and
go back when they are no longer said; what acts at bind alone opens the door
anew. Looked at from outside: a duplicate of the socket, and the path."""
import os
import re
import socket
import stat
import struct
import threading

from harness import Daemon, cannot, descriptors, wait_for

CONF = """
[service tcp]
listen = tcp:127.0.0.1:@PORT:tcp@ %(tcp)s
exec = /bin/cat

[service path]
listen = unix:@DIR@/path %(path)s
exec = /bin/cat

[service udp]
listen = udp:127.0.0.1:@PORT:udp@ %(udp)s
exec = /bin/cat
protocol = wait

[service job]
trigger = fifo:@DIR@/job %(fifo)s
exec = /bin/true
"""
TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT = 4, 5, 6
TCP_DEFER_ACCEPT, TCP_FASTOPEN = 9, 23
SO_BINDTOIFINDEX = 62
failed = []
stop = threading.Event()


def conf(tcp="", path="", udp="", fifo=""):
    return CONF % {"tcp": tcp, "path": path, "udp": udp, "fifo": fifo}


def doors(usher, kind, name):
    """Usher's descriptors of listening or bound sockets called NAME."""
    found = []
    for fd, what in descriptors(usher.pid).items():
        if not what.startswith("socket:"):
            continue
        try:
            pidfd = os.pidfd_open(usher.pid)
            copy = pidfd_getfd(pidfd, fd)
        except ProcessLookupError:
            continue
        finally:
            os.close(pidfd)
        sock = socket.socket(fileno=copy)
        try:
            if sock.family == kind and sock.getsockname() == name and (
                    sock.type == socket.SOCK_DGRAM or sock.getsockopt(
                        socket.SOL_SOCKET, socket.SO_ACCEPTCONN)):
                found.append((fd, what, sock))
                continue
        except OSError:
            pass
        sock.close()
    return found


def pidfd_getfd(pidfd, fd):
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    got = libc.syscall(438, pidfd, fd, 0)
    if got < 0:
        if ctypes.get_errno() == 1:
            cannot("pidfd_getfd is not allowed here")
        raise ProcessLookupError(ctypes.get_errno(), "pidfd_getfd")
    return got


def gives_way(sock):
    """Bound to an interface that is none: only its handshakes end in it."""
    return sock.getsockopt(socket.SOL_SOCKET, SO_BINDTOIFINDEX) != 0


class Door:
    """What the kernel says of a service's socket now."""

    def __init__(self, usher, kind, name):
        found = wait_for(lambda: [door for door in doors(usher, kind, name)
                                  if not gives_way(door[2])])
        # (Usher watches some doors through a duplicate.)
        assert len({inode for _, inode, _ in found}) == 1, found
        for _, _, sock in found[1:]:
            sock.close()
        # (Usher watches some doors through a duplicate.)
        assert len({inode for _, inode, _ in found}) == 1, found
        self.fd, self.inode, self.sock = found[0]

    def of_tcp(self):
        s = self.sock.getsockopt
        tcp = socket.IPPROTO_TCP
        return {"keepalive": bool(s(socket.SOL_SOCKET, socket.SO_KEEPALIVE)),
                "idle": s(tcp, TCP_KEEPIDLE), "intvl": s(tcp, TCP_KEEPINTVL),
                "count": s(tcp, TCP_KEEPCNT),
                "nodelay": bool(s(tcp, socket.TCP_NODELAY)),
                "defer": bool(s(tcp, TCP_DEFER_ACCEPT)),
                "fastopen": s(tcp, TCP_FASTOPEN),
                "backlog": struct.unpack_from("I", s(tcp, 11, 104), 28)[0],
                **self.buffers()}

    def buffers(self):
        s = self.sock.getsockopt
        return {"rcvbuf": s(socket.SOL_SOCKET, socket.SO_RCVBUF),
                "sndbuf": s(socket.SOL_SOCKET, socket.SO_SNDBUF)}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()


def load(usher, address):
    """Connects without pause; each must be served."""
    while not stop.is_set():
        try:
            with usher.client(address) as client:
                client.sendall(b"x")
                assert client.recv(1) == b"x"
        except (OSError, AssertionError) as error:
            failed.append(repr(error))


with Daemon(conf()) as usher:
    port = usher.port("tcp")
    tcp = (socket.AF_INET, ("127.0.0.1", port))
    udp = (socket.AF_INET, ("127.0.0.1", usher.port("udp")))
    path, fifo = f"{usher.dir}/path", f"{usher.dir}/job"

    def reload(**options):
        usher.write(conf(**options))
        usher.run("reload")
        assert usher.service("tcp")["state"] == "running"

    def mode(where):
        return stat.S_IMODE(os.stat(where).st_mode)

    threads = [threading.Thread(target=load, args=(usher, name), daemon=True)
               for name in ("tcp", "path")]
    for thread in threads:
        thread.start()
    with Door(usher, *tcp) as was, Door(usher, *udp) as was_udp, \
            Door(usher, socket.AF_UNIX, path) as was_path:
        default, default_udp = was.of_tcp(), was_udp.buffers()
        default_path, inode = was_path.buffers(), os.stat(path).st_ino
        assert not default["keepalive"] and not default["defer"]

        # Changed on the live socket, all of them.
        reload(tcp="backlog=17 keepalive=33,7,5 nodelay=yes defer=yes "
                   "fastopen=9 rcvbuf=48K sndbuf=40K",
               path="mode=0640 backlog=3 sndbuf=20K", udp="rcvbuf=64K",
               fifo="mode=0600")
        now = was.of_tcp()
        assert now == {"keepalive": True, "idle": 33, "intvl": 7, "count": 5,
                       "nodelay": True, "defer": True, "fastopen": 9,
                       "backlog": 17, "rcvbuf": 96 << 10,
                       "sndbuf": 80 << 10}, now
        assert was_udp.buffers()["rcvbuf"] == 128 << 10
        assert was_path.buffers()["sndbuf"] == 40 << 10
        assert mode(path) == 0o640 and mode(fifo) == 0o600
        queue = usher.service("path")["endpoints"][0]
        assert queue["queue_max"] == 3, queue
        if os.geteuid() == 0:
            reload(path="owner=65534 group=65534")
            assert (os.stat(path).st_uid, os.stat(path).st_gid) == (
                65534, 65534)

        # No longer said: back to what a new one has.
        reload()
        now = was.of_tcp()
        assert now == default, (now, default)
        assert was_udp.buffers() == default_udp
        assert was_path.buffers() == default_path
        assert mode(path) == 0o666 and mode(fifo) == 0o620
        with Door(usher, *tcp) as same:
            assert (same.fd, same.inode) == (was.fd, was.inode)
        assert os.stat(path).st_ino == inode

        # What acts at bind alone: another socket, and nobody is refused.
        arrivals = usher.service("tcp")["endpoints"][0]["arrivals"]
        reload(tcp="freebind=yes")
        with Door(usher, *tcp) as other:
            assert other.inode != was.inode
            assert other.sock.getsockopt(socket.IPPROTO_IP, 15) == 1
        reload()
        with Door(usher, *tcp) as other:
            assert other.sock.getsockopt(socket.IPPROTO_IP, 15) == 0
    stop.set()
    for thread in threads:
        thread.join()
    assert not failed, failed[:5]
    assert re.search(r"served", str(usher.service("tcp"))), arrivals
    assert usher.service("tcp")["served"] > arrivals > 0
