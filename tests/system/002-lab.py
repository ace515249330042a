"""The ground that tests stand on: roots, hosts on a switch, a systemd."""
import socket
import time

from harness import wait_for
from lab import Boot, Hosts, Root, checked

group = "systemd"
roots = ["peers", "boot12", "boot13"]
timeout = 180

ECHO = """
import socket
s = socket.create_server(("", 7777))
while True:
    c = s.accept()[0]
    c.sendall(c.recv(100))
    c.close()
"""

with Root("peers", net=True) as root:
    assert "git version" in root.run("git", "--version").stdout
    root.run("sh", "-c", "echo mine >/etc/mine; test -s /etc/passwd")
    server = root.popen("python3", "-c", ECHO)

    def answered():
        with root.inside_net():
            client = socket.create_connection(("127.0.0.1", 7777), 5)
        client.sendall(b"x")
        return client.recv(10) == b"x"
    wait_for(answered)
    assert server.pid in root.pids()
with Root("peers") as root:
    root.run("test", "-e", "/etc/mine", status=1)

with Hosts("client", "server") as net:
    net.popen("server", "/usr/bin/python3", "-c", ECHO)

    def reach(name):
        with net.inside("client"):
            client = socket.socket()
        client.settimeout(10)
        began = time.monotonic()
        client.connect((net.address(name), 7777))
        return time.monotonic() - began
    wait_for(lambda: reach("server"))
    net.impair("server", delay="300ms")
    assert reach("server") >= 0.3
    net.impair("server")
    assert reach("server") < 0.3
    known = net.run("client", "getent", "hosts", "server").stdout
    assert known.split()[0] == net.address("server"), known

for name, version in (("boot12", "252"), ("boot13", "257")):
    with Boot(name) as box:
        state = box.run("systemctl", "is-system-running", status=None)
        assert state.stdout.strip() == "running", state.stdout
        assert version in box.run("systemctl", "--version").stdout

left = checked(["ip", "netns", "list"]).stdout
assert net.lab not in left, left
