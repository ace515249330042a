"""The metrics are OpenMetrics by the word of a parser that nobody here wrote
(python3-prometheus-client's), and tell what happened; a spawn service of
usher's own serves them by HTTP."""
import json
import shutil

from harness import BINARY, Daemon, TESTS, receive_all, wait_for
from lab import Root

group = "peers"
roots = ["peers"]
root = True

CONF = """
[service hello]
listen = tcp:127.0.0.1:@PORT:hello@
exec = /bin/echo in
deny = 127.0.0.2

[service job]
exec = /bin/true
trigger = unix:@DIR@/trigger

[service metrics]
listen = tcp:127.0.0.1:@PORT:metrics@
exec = @BINARY@ metrics --http
environment = USHER_CONTROL=@DIR@/control
environment = ASAN_OPTIONS=detect_leaks=0
""".replace("@BINARY@", BINARY)

PARSE = """
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
found = {}
for family in text_string_to_metric_families(sys.stdin.read()):
    for sample in family.samples:
        key = sample.name + json.dumps(sample.labels, sort_keys=True)
        assert key not in found, key
        found[key] = sample.value
print(json.dumps(found))
"""

assert shutil.which("python3") and TESTS
with Root("peers") as root, Daemon(CONF) as usher:
    for _ in range(3):
        with usher.client("hello") as client:
            assert receive_all(client) == b"in\n"
    usher.run("trigger", "job", "--wait")
    wait_for(lambda: usher.service("hello")["served"] == 3)
    with usher.client("metrics") as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        head, _, body = receive_all(client).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n"), head
    assert b"application/openmetrics-text; version=1.0.0" in head, head
    assert body.endswith(b"# EOF\n")
    done = root.run("/usr/bin/python3", "-c", PARSE, input=body.decode())
    found = json.loads(done.stdout)

    def value(name, **labels):
        return found[f"usher_{name}{json.dumps(labels, sort_keys=True)}"]

    assert value("served_total", service="hello") == 3
    assert value("arrivals_total", service="hello") == 3
    assert value("runs_total", service="job") == 1
    assert value("refused_total", service="hello", reason="denied") == 0
    assert value("to_handoff_seconds_count", service="hello") == 3
    assert value("to_handoff_seconds_bucket", service="hello",
                 le="+Inf") == 3
    assert value("degraded", service="hello") == 0
    limits = [v for k, v in found.items()
              if k.startswith("usher_accept_queue_limit")]
    assert len(limits) == 3 and min(limits) > 0, limits
