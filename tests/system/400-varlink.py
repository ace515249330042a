"""A Varlink client of 30 lines, written from the specification alone
(varlink.org), talks to usher: GetInfo, introspection, calls, errors, more,
oneway, pipelined calls answered in order; a line is a command."""
import json
import re
import socket

from harness import Daemon, wait_for

CONF = """
[service hello]
listen = unix:@DIR@/hello
exec = /bin/cat
trigger = unix:@DIR@/trigger

[service off]
listen = unix:@DIR@/off
exec = /bin/cat
enabled = no
"""


class Varlink:
    """Objects ended by NUL, each way, over a stream socket."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(20)
        self.sock.connect(path)
        self.file = self.sock.makefile("rb")

    def close(self):
        self.file.close()
        self.sock.close()

    def send(self, method, **keys):
        call = {"method": method, **keys}
        self.sock.sendall(json.dumps(call).encode() + b"\0")

    def receive(self):
        text = b""
        while not text.endswith(b"\0"):
            byte = self.file.read(1)
            assert byte, "closed"
            text += byte
        return json.loads(text[:-1])

    def call(self, method, **parameters):
        self.send(method, parameters=parameters)
        return self.receive()


with Daemon(CONF) as usher:
    link = Varlink(usher.control)
    info = link.call("org.varlink.service.GetInfo")["parameters"]
    assert info["product"] == "usher", info
    assert info["interfaces"] == ["org.usher", "org.varlink.service"], info

    for interface in info["interfaces"]:
        text = link.call("org.varlink.service.GetInterfaceDescription",
                         interface=interface)["parameters"]["description"]
        assert f"interface {interface}\n" in text
    text = link.call("org.varlink.service.GetInterfaceDescription",
                     interface="org.usher")["parameters"]["description"]
    methods = re.findall(r"^method (\w+)", text, re.M)
    assert {"Status", "Adopt", "Monitor", "Shutdown"} <= set(methods), methods

    # What there is none of, by the specification's own errors.
    for call, error, key in (
            ("org.varlink.service.Nothing", "MethodNotFound", "method"),
            ("org.usher.Nothing", "MethodNotFound", "method"),
            ("org.other.Status", "InterfaceNotFound", "interface")):
        reply = link.call(call)
        assert reply["error"] == f"org.varlink.service.{error}", reply
        assert reply["parameters"][key], reply
    reply = link.call("org.varlink.service.GetInterfaceDescription",
                      interface="org.other")
    assert reply["error"] == "org.varlink.service.InterfaceNotFound", reply
    for parameters, which in (({}, "service"), ({"service": 1}, "service"),
                              ({"service": "hello", "x": 1}, "x")):
        reply = link.call("org.usher.Pause", **parameters)
        assert reply["error"] == "org.varlink.service.InvalidParameter", reply
        assert reply["parameters"]["parameter"] == which, reply
    reply = link.call("org.usher.Pause", service="nobody")
    assert reply["error"] == "org.usher.NoSuchService", reply
    assert reply["parameters"]["service"] == "nobody", reply

    status = link.call("org.usher.Status")["parameters"]
    assert status["pid"] == usher.pid
    assert [s["name"] for s in status["services"]] == ["hello", "off"]
    assert [s["state"] for s in status["services"]] == ["running", "disabled"]
    door = status["services"][0]["endpoints"][0]
    assert door["queue"] == 0 and door["queue_max"] > 0, door

    # Two calls and a line in one write: answered in order.
    link.sock.sendall(
        b'{"method":"org.usher.Status","parameters":{"service":"off"}}\0'
        b'{"method":"org.varlink.service.GetInfo"}\0status hello\n'
        b'{"method":"org.usher.Nothing"}\0')
    first, second = link.receive(), link.receive()
    assert first["parameters"]["services"][0]["name"] == "off", first
    assert second["parameters"]["product"] == "usher", second
    line = json.loads(link.file.readline())
    assert line["services"][0]["name"] == "hello", line
    assert link.receive()["error"].endswith("MethodNotFound")

    # oneway: done, not answered.
    link.send("org.usher.Pause", parameters={"service": "hello"}, oneway=True)
    reply = link.call("org.usher.Status", service="hello")
    assert reply["parameters"]["services"][0]["state"] == "paused", reply
    link.call("org.usher.Resume", service="hello")

    # A stream wants more, and then goes on.
    assert link.call("org.usher.Monitor")["error"] == \
        "org.varlink.service.ExpectedMore"
    stream = Varlink(usher.control)
    stream.send("org.usher.Monitor", more=True)
    begin = stream.receive()
    assert begin["continues"] is True, begin
    link.call("org.usher.Pause", service="hello")
    link.call("org.usher.Resume", service="hello")
    states = []
    while "running" not in states:
        event = stream.receive()
        assert event["continues"] is True
        event = event["parameters"]["event"]
        if event["event"] == "state":
            states.append(event["state"])
    assert states == ["paused", "running"], states

    # Every split of a call is the same call.
    call = b'{"method":"org.varlink.service.GetInfo"}\0'
    for at in range(1, len(call)):
        link.sock.sendall(call[:at])
        link.sock.sendall(call[at:])
        assert link.receive()["parameters"]["product"] == "usher"

    # What is no JSON ends the connection, after a word.
    for bad in (b"{]\0", b'{"method":1}\0', b'{"method":"a.b","parameters":[]}\0'):
        other = Varlink(usher.control)
        other.sock.sendall(bad)
        assert "error" in other.receive()
        assert other.file.read(1) == b"", "still open"
        other.close()

    # A line that nobody ended is no command.
    torn = Varlink(usher.control)
    torn.sock.sendall(b"shutdown")
    torn.sock.shutdown(socket.SHUT_WR)
    assert torn.file.read(1) == b""
    for word, answer in (("status nobody", "org.usher.NoSuchService"),
                         ("stat", "org.usher.Failed"),
                         ("status 'a", "org.usher.Failed")):
        link.sock.sendall(word.encode() + b"\n")
        reply = json.loads(link.file.readline())
        assert reply["error"] == answer, reply
    assert "did you mean status?" in usher.call_line("statu")
    for each in (link, stream, torn):
        each.close()
    wait_for(lambda: usher.call("Status")["clients"] == 1)
