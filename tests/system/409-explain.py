"""usher explain says what would become of a client: a table of rules, doors
and states, and what usher then really does with one."""
from harness import Daemon

CONF = """
[service open]
listen = tcp:127.0.0.1:@PORT:open@
exec = /bin/echo in

[service allow]
listen = tcp:127.0.0.1:@PORT:allow@
exec = /bin/echo in
allow = 127.0.0.1
deny = 127.0.0.0/8

[service deny]
listen = tcp:127.0.0.1:@PORT:deny@
exec = /bin/echo in
deny = 127.0.0.0/8

[service unix]
listen = unix:@DIR@/unix
exec = /bin/echo in
allow = user:0

[service other]
listen = unix:@DIR@/other
exec = /bin/echo in
allow = user:54321

[service proxy]
listen = tcp:127.0.0.1:@PORT:proxy@
exec = /bin/echo in
accept_proxy = 10.0.0.0/8
"""

# service, from, verdict, words of a step
TABLE = [
    ("open", "127.0.0.1", "accept", "comes in at tcp:127.0.0.1"),
    ("open", "192.0.2.1", "accept", "/bin/echo"),
    ("open", "2001:db8::1", "refuse", "no open door"),
    ("open", "uid:0", "refuse", "no open door"),
    ("allow", "127.0.0.1", "accept", "allow"),
    ("allow", "127.0.0.2", "refuse", ""),
    ("allow", "192.0.2.1", "refuse", ""),
    ("deny", "127.0.0.1", "refuse", "deny"),
    ("deny", "192.0.2.1", "accept", ""),
    ("unix", "uid:0", "accept", ""),
    ("unix", "uid:1", "refuse", ""),
    ("unix", "127.0.0.1", "refuse", "no open door"),
    ("other", "uid:54321", "accept", ""),
    ("proxy", "10.1.2.3", "accept", "a PROXY header is required"),
    ("proxy", "127.0.0.1", "accept", "/bin/echo"),
]


def explain(service, source):
    reply = usher.call("Explain", service=service, **{"from": source})
    return reply["verdict"], " | ".join(reply["steps"])


with Daemon(CONF) as usher:
    for service, source, verdict, words in TABLE:
        found, steps = explain(service, source)
        assert (found, words in steps) == (verdict, True), \
            (service, source, verdict, words, found, steps)

    # What it says of us is what happens to us.
    for service, source in (("open", "127.0.0.1"), ("allow", "127.0.0.1"),
                            ("deny", "127.0.0.1"), ("unix", "uid:0"),
                            ("other", "uid:0")):
        with usher.client(service) as client:
            served = client.makefile().readline() == "in\n"
        assert served == (explain(service, source)[0] == "accept"), service

    usher.call("Pause", service="open")
    found, steps = explain("open", "127.0.0.1")
    assert found == "wait" and "paused by hand" in steps, (found, steps)
    found, steps = explain("open", "2001:db8::1")
    assert found == "refuse", (found, steps)
    assert usher.error("Explain", service="open", **{"from": "nonsense"}) == \
        "org.varlink.service.InvalidParameter"
    text = usher.run("explain", "deny", "127.0.0.1").stdout
    assert text.startswith("deny: refuse from 127.0.0.1\n"), text
