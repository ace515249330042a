"""A real Prometheus scrapes doc/examples/metrics.ini's service and answers a
query with what happened."""
import json
import os
import re
import urllib.parse
import urllib.request

from harness import BINARY, Daemon, TOP, free_port, receive_all, wait_for
from lab import Root

group = "peers"
roots = ["prometheus"]
timeout = 180

with open(os.path.join(TOP, "doc", "examples", "metrics.ini"),
          encoding="utf-8") as example:
    METRICS = example.read()
METRICS = METRICS.replace("127.0.0.1:9779", "127.0.0.1:@PORT:metrics@") \
    .replace("/usr/bin/usher", BINARY) \
    .replace("/run/usher/control", "@DIR@/control")
METRICS += "environment = ASAN_OPTIONS=detect_leaks=0\n" \
    "user = root\n"
METRICS = re.sub(r"^user = (?!root).*\n", "", METRICS, flags=re.M)
CONF = METRICS + """
[service hello]
listen = unix:@DIR@/hello
exec = /bin/echo in
"""
PROMETHEUS = """
global:
  scrape_interval: 1s
scrape_configs:
  - job_name: usher
    static_configs:
      - targets: ["127.0.0.1:{port}"]
"""


def ask(expression):
    """What Prometheus knows of EXPRESSION, or nothing yet."""
    url = f"http://127.0.0.1:{port}/api/v1/query?" + \
        urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(url, timeout=20) as answer:
        return json.load(answer)["data"]["result"]


def value(expression):
    found = ask(expression)
    return float(found[0]["value"][1]) if found else None


with Root("prometheus") as root, Daemon(CONF) as usher:
    for _ in range(3):
        with usher.client("hello") as client:
            assert receive_all(client) == b"in\n"
    port = free_port()
    root.write("/etc/usher-test.yml",
               PROMETHEUS.format(port=usher.port("metrics")))
    prometheus = root.popen(
        "/usr/bin/prometheus", "--config.file=/etc/usher-test.yml",
        "--storage.tsdb.path=/run/data",
        f"--web.listen-address=127.0.0.1:{port}")
    wait_for(lambda: value('up{job="usher"}') == 1, 60)
    wait_for(lambda: value('usher_served_total{service="hello"}') == 3, 60)
    assert value('usher_to_handoff_seconds_count{service="hello"}') == 3
    assert value('usher_accept_queue_limit{service="hello"}') > 0
    assert ask("usher_build_info")[0]["metric"]["version"]
    # It took every line: nothing was dropped or out of order.
    assert value('scrape_samples_scraped{job="usher"}') == \
        value('scrape_samples_post_metric_relabeling{job="usher"}') > 100
