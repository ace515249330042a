"""2,000 services: Status and GetMetrics are whole by call and by line, others
are answered meanwhile, clients that do not read cost little memory, one that
leaves or a reload in the middle of an answer does no harm."""
import json
import os
import re
import socket

from harness import Control, Daemon, wait_for

timeout = 180
# What is freed counts as free, in a build with sanitizers too.
os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + \
    ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64"
MANY = 2000
CONF = "".join(f"""
[service s{i}]
listen = unix:@DIR@/s{i}
exec = /bin/cat
""" for i in range(MANY))
NAMES = [f"s{i}" for i in range(MANY)]


def names(reply):
    return [s["name"] for s in reply["services"]]


def resident():
    with open(f"/proc/{usher.pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))


with Daemon(CONF) as usher:
    reply = usher.call("Status")
    assert names(reply) == NAMES
    assert list(reply)[:4] == ["pid", "version", "since", "degraded"], reply
    assert list(reply)[-3:] == ["services", "upgrade", "crashes"]
    for service in reply["services"]:
        assert service["endpoints"][0]["queue_max"] > 0, service
    size = len(json.dumps(reply))
    assert names(json.loads(usher.call_line("status"))) == NAMES

    # Every service has a line in every family, and the text is one.
    text = usher.call("GetMetrics")["text"]
    assert text.endswith("# EOF\n") and text.count("# EOF") == 1
    for family in ("arrivals_total", "degraded", "inside",
                   "to_taken_seconds_count"):
        found = re.findall(rf'^usher_{family}{{service="(s\d+)"}} 0$', text,
                           re.M)
        assert found == NAMES, (family, len(found))
    assert len(re.findall(r"^# TYPE ", text, re.M)) == \
        len(set(re.findall(r"^# TYPE (\S+)", text, re.M)))

    # Two pipelined: one after the other, and who asks for little meanwhile
    # does not wait for the end of them.
    with Control(usher.control) as big, Control(usher.control) as small:
        big.send("Status")
        big.send("Status", service="s7")
        small.send("Status", service="s1")
        assert names(small.reply()) == ["s1"]
        assert names(big.reply()) == NAMES
        assert names(big.reply()) == ["s7"]

    # Nobody reads: each holds a slice, not the whole.
    usher.call("Connections")
    before = resident()
    lazy = [Control(usher.control) for _ in range(60)]
    for control in lazy:
        control.send("Status")
    assert names(usher.call("Status", service="s1")) == ["s1"]
    wait_for(lambda: usher.call("Status", service="s1")["clients"] == 61)
    grown = (resident() - before) * 1024
    assert grown < 60 * size / 2, (grown, size)
    # A reload takes services away under them: the rest is told.
    usher.write(CONF.partition("[service s1900]")[0])
    usher.run("reload")
    found = names(lazy[0].reply())
    assert found[:1900] == NAMES[:1900] and len(found) < MANY, len(found)
    for control in lazy:
        control.sock.close()
    wait_for(lambda: usher.call("Status", service="s1")["clients"] == 1)

    # Leaves at any time.
    for i in range(40):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(20)
            sock.connect(usher.control)
            sock.sendall(b"metrics\n" if i % 2 else b"status\n")
            left = i * 20000
            while left > 0:
                left -= len(sock.recv(min(left, 65536)))
    # oneway: asked, not answered.
    with Control(usher.control) as control:
        control.send("Status", oneway=True)
        control.send("Status", service="s3")
        assert names(control.reply()) == ["s3"]
    assert names(usher.call("Status")) == NAMES[:1900]
