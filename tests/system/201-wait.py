"""inetd's wait: the program has the door until it ends, stream and datagram.

A stream server accepts what it likes and exits; the door is looked at again.
tftpd speaks for itself: Debian's, unchanged.
"""
from harness import Daemon, wait_for
from lab import Root

roots = ["peers"]
root = True
group = "peers"

CONF = """
[service stream]
listen = tcp:127.0.0.1:@PORT:stream@
exec = /usr/bin/python3 @TESTS@/wait_worker.py
protocol = wait

[service tftp]
listen = udp:127.0.0.1:@PORT:tftp@
exec = /usr/sbin/in.tftpd --secure --timeout 2 /srv/tftp
protocol = wait
"""

with Root("peers") as peers:
    peers.write("/srv/tftp/hello.txt", "hello from tftpd\n")
    with Daemon(CONF, root=peers) as usher:
        pids = set()
        for _ in range(3):
            with usher.client("stream") as client:
                pids.add(client.recv(100))
        # Each served two and left; three clients are two programs.
        assert len(pids) == 2, pids

        def get(name, status=0):
            return peers.run(
                "tftp", "-m", "binary", "127.0.0.1",
                str(usher.port("tftp")), "-c", "get", name, "/tmp/got",
                status=status, timeout=30)
        get("hello.txt")
        got = peers.run("cat", "/tmp/got").stdout
        assert got == "hello from tftpd\n", got

        # in.tftpd leaves after --timeout; the next datagram starts another.
        def gone():
            workers = usher.service("tftp")["workers"]
            return not workers
        wait_for(gone, 20)
        get("hello.txt")
        starts = usher.service("tftp")
        assert starts["state"] == "running", starts
