"""Two machines behind HAProxy, as doc/examples/haproxy.cfg has it: one is
drained and restarted under load without an error; one is cut off, and only
what was in flight there fails. And fail2ban reads what is refused."""
import re
import socket
import threading
import time

from harness import BINARY, TOP, Daemon, stopped, wait_for
from lab import Hosts, Root

group = "peers"
root = True
roots = ["peers"]
timeout = 240

CONF = """
[service shop]
listen = tcp:*:8080
accept_proxy = 10.77.0.1
exec = /bin/sh -c 'read line; echo @NAME@ $TCPREMOTEIP'

[service shop-check]
listen = tcp:*:8081
allow = 10.77.0.1
builtin = agent shop

[service strict]
listen = tcp:127.0.0.1:@PORT@
deny = 127.0.0.0/8
builtin = echo
log_connections = yes
"""
THREADS = 8


class Load:
    """Clients one after the other in each of some threads, in NET's HOST."""

    def __init__(self, net, host):
        self.net, self.host = net, host
        self.errors = []
        self.served = {"one": 0, "two": 0}
        self.lock = threading.Lock()
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self.run)
                        for _ in range(THREADS)]

    def ask(self):
        with socket.create_connection(("10.77.0.1", 8080), 15) as sock:
            ours = sock.getsockname()[0]
            sock.sendall(b"hello\n")
            said = b""
            while part := sock.recv(100):
                said += part
        name, address = said.decode().split()
        assert address == ours, said
        return name

    def run(self):
        with self.net.inside(self.host):
            while not self.stop.is_set():
                try:
                    name = self.ask()
                except (OSError, ValueError) as error:
                    with self.lock:
                        self.errors.append((time.monotonic(), repr(error)))
                else:
                    with self.lock:
                        self.served[name] += 1

    def both(self):
        """Do both machines serve, from now on?"""
        before = dict(self.served)
        wait_for(lambda: all(self.served[n] > before[n] for n in before))

    def begin(self):
        for thread in self.threads:
            thread.start()

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()


def machine(net, name):
    return Daemon(CONF.replace("@NAME@", name), fds=False, command=net.wrap(
        name, [BINARY, "serve", "-c", "@DIR@/usher.ini"]))


def balancer(net, peers):
    with open(f"{TOP}/doc/examples/haproxy.cfg", encoding="ascii") as file:
        text = file.read()
    for was, now in (("192.0.2.11", "10.77.0.2"), ("192.0.2.12", "10.77.0.3"),
                     ("192.0.2.1:", "10.77.0.1:")):
        text = text.replace(was, now)
    peers.write("/etc/haproxy-test.cfg", text)
    return net.popen("balancer", *peers.wrap(
        ["haproxy", "-db", "-f", "/etc/haproxy-test.cfg"]))


def drain(load, one):
    load.both()
    one.run("drain", "shop", "--after", "3s", "--wait")
    before = load.served["one"]
    time.sleep(1)       # that nothing comes is what is looked at
    assert load.served["one"] == before, "drained, and still served"


def cut_off(load, net):
    net.impair("two", down=1)
    at = time.monotonic()
    wait_for(lambda: time.monotonic() - at > 6)
    assert len(load.errors) <= THREADS, load.errors[:20]
    known = len(load.errors)
    before = load.served["one"]
    wait_for(lambda: load.served["one"] > before + 20)
    late = [e for e in load.errors[known:] if e[0] > at + 20]
    assert not late, late[:3]
    net.impair("two")
    load.both()


def fail2ban(peers, one, net):
    door = ("127.0.0.1", one.port())
    with net.inside("one"):
        for _ in range(5):
            with socket.create_connection(door) as sock:
                try:
                    assert sock.recv(1) == b""
                except ConnectionResetError:
                    pass
    wait_for(lambda: one.log.count("refused") >= 5)
    lines = [f"Nov 24 12:00:0{n} host usher[1]: {line.partition(': ')[2]}"
             for n, line in enumerate(
                 [x for x in one.log.splitlines() if "refused" in x][:5])]
    peers.write("/tmp/lines", "\n".join(lines) + "\n")
    with open(f"{TOP}/doc/examples/fail2ban-usher.conf",
              encoding="ascii") as file:
        peers.write("/etc/fail2ban/filter.d/usher.conf", file.read())
    out = peers.run("fail2ban-regex", "/tmp/lines", "usher").stdout
    assert re.search(r"5 lines, 0 ignored, 5 matched", out), out


with Hosts("balancer", "one", "two") as hosts, Root("peers") as box:
    with machine(hosts, "two"):
        first = machine(hosts, "one")
        with first:
            proxy = balancer(hosts, box)
            with hosts.inside("balancer"):
                wait_for(lambda: socket.create_connection(
                    ("10.77.0.1", 8080), 5).close() is None)
            traffic = Load(hosts, "balancer")
            traffic.begin()
            try:
                drain(traffic, first)
            except BaseException:
                traffic.end()
                raise
        try:
            with machine(hosts, "one") as again:
                traffic.both()
                assert not traffic.errors, traffic.errors[:3]
                cut_off(traffic, hosts)
                traffic.end()
                fail2ban(box, again, hosts)
        finally:
            traffic.end()
            stopped(proxy)
