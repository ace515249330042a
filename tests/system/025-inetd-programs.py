"""Programs that nobody here wrote, unchanged, a process for each connection:
git daemon (as the README has it), rsync, busybox httpd, micro-httpd, and
those of tcpserver's and systemd's worlds."""
import re

from harness import TOP, Daemon, receive_all, wait_for
from lab import Root

group = "peers"
roots = ["peers"]
timeout = 180

CONF = """
[service rsync]
listen = tcp:127.0.0.1:@PORT:rsync@
exec = /usr/bin/rsync --daemon --config=/etc/rsyncd.conf

[service busybox]
listen = tcp:127.0.0.1:@PORT:busybox@
exec = /bin/busybox httpd -i -h /srv/web

[service micro]
listen = tcp:127.0.0.1:@PORT:micro@
exec = /usr/sbin/micro-httpd /srv/web
user = nobody

[service ucspi]
listen = tcp:127.0.0.1:@PORT:ucspi@
exec = /bin/sh -c 'echo $PROTO $TCPREMOTEIP $TCPREMOTEPORT $TCPLOCALPORT'

[service rblsmtpd]
listen = tcp:127.0.0.1:@PORT:rblsmtpd@
exec = /usr/bin/rblsmtpd -t 10 /bin/cat
environment = RBLSMTPD=-go-away

[service systemd]
listen = tcp:127.0.0.1:@PORT:systemd@
exec = /usr/bin/python3 /srv/three.py
protocol = systemd
"""

THREE = r"""
import os, socket
assert os.environ["LISTEN_FDS"] == "1"
assert os.environ["LISTEN_PID"] == str(os.getpid())
assert os.environ["LISTEN_FDNAMES"] == "connection"
with socket.socket(fileno=3) as client:
    client.sendall(b"%s %s" % (os.environ["REMOTE_ADDR"].encode(),
                               client.recv(100)))
"""


def readme_section(name):
    """The section as it stands in the README, less its file's name."""
    with open(f"{TOP}/README", encoding="utf-8") as file:
        text = file.read()
    found = re.search(rf"^\t(\[service {name}\]\n(?:\t.*\n)*)", text, re.M)
    return re.sub(r"^\t", "", found[1], flags=re.M)


def page(usher, service):
    with usher.client(service) as client:
        client.sendall(b"GET /page.html HTTP/1.0\r\n\r\n")
        answer = receive_all(client)
    assert b" 200 " in answer.splitlines()[0] and b"a page" in answer, answer


GIT = readme_section("git")
assert "git daemon --inetd" in GIT and ":9418" in GIT, GIT

with Root("peers", net=True) as root:
    root.write("/srv/web/page.html", "a page\n")
    root.write("/srv/three.py", THREE)
    root.write("/srv/files/one", "the first file\n")
    root.write("/srv/files/deep/two", "x" * 3_000_000)
    root.write("/etc/rsyncd.conf",
               "[files]\npath = /srv/files\nuse chroot = no\n")
    # What the README's reader does.
    root.run("sh", "-ec", """
        useradd --system --create-home git
        git init -q -b main /srv/git/hello.git
        cd /srv/git/hello.git
        git config user.name A; git config user.email a@b
        echo ahoy >file; git add file; git commit -qm first
        chown -R git: /srv/git""")
    with Daemon(CONF + GIT, root=root) as usher, root.inside_net():
        for time in "first", "second":
            root.run("git", "clone", "-q", "git://localhost/hello.git",
                     f"/tmp/{time}")
            root.run("cmp", f"/tmp/{time}/file", "/srv/git/hello.git/file")
        refused = root.run("git", "clone", "git://localhost/none.git",
                           "/tmp/none", status=128)
        assert "not exported" in refused.stderr or \
            "not found" in refused.stderr, refused.stderr

        port = usher.port("rsync")
        root.run("rsync", "-r", f"rsync://127.0.0.1:{port}/files/",
                 "/tmp/copy/")
        root.run("diff", "-r", "/srv/files", "/tmp/copy")

        for _ in range(5):
            page(usher, "busybox")
            page(usher, "micro")

        with usher.client("ucspi") as client:
            own = client.getsockname()[1]
            words = receive_all(client).split()
        assert words == [b"TCP", b"127.0.0.1", b"%d" % own,
                         b"%d" % usher.port("ucspi")], words
        # One of ucspi-tcp's own: it serves by the variables that it is given.
        with usher.client("rblsmtpd") as client:
            assert client.recv(100).startswith(b"220 "), "no greeting"
            client.sendall(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nQUIT\r\n")
            said = receive_all(client)
        assert b"go-away" in said, said

        with usher.client("systemd") as client:
            client.sendall(b"ahoy")
            assert receive_all(client) == b"127.0.0.1 ahoy"
        for service in usher.call("Status")["services"]:
            assert service["state"] == "running", service
            wait_for(lambda name=service["name"]:
                     usher.service(name)["served"] > 0)
