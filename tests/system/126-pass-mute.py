"""reports = yes and a worker that never says a word: that is told once, with
what it should say; one that reports is not spoken of."""
import time

from harness import Daemon, receive_all

parallel = True

CONF = """
[service mute]
listen = unix:@DIR@/mute
exec = /usr/bin/python3 @TESTS@/pass_worker.py echo
handoff = pass
reports = yes

[service speaks]
listen = unix:@DIR@/speaks
exec = /usr/bin/python3 @TESTS@/reporting_echo.py
handoff = pass
reports = yes
"""


def ask(name):
    with usher.client(name) as client:
        client.sendall(b"x")
        client.shutdown(1)
        assert receive_all(client).endswith(b"x"), name


with Daemon(CONF) as usher:
    began = time.monotonic()
    while time.monotonic() - began < 12 and "without a word" not in usher.log:
        ask("mute")
        ask("speaks")
        time.sleep(0.1)         # the pace of the clients
    usher.wait_log(r"warning: mute: \d+ hand-offs were taken without a word: "
                   r"with reports = yes a worker says taken ID and done ID")
    for _ in range(30):
        ask("mute")
    assert usher.log.count("without a word") == 1, usher.log
