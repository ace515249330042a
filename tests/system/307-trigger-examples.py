"""The examples of triggers do what they say, as far as their programs are
here."""
import glob
import os
import re

from harness import Daemon, TOP, wait_for
from trigger_lib import lines, put

group = "core"
parallel = True

CONF = """
[usher]
spool = @DIR@/spool
"""


def with_program(name):
    """An example's text with a program that writes down what it was told."""
    with open(f"{TOP}/doc/examples/{name}", encoding="utf-8") as file:
        text = file.read()
    text = re.sub(r"^exec = .*", "exec = /bin/sh -c 'echo \"$(cat)\" >> "
                  "@DIR@/ran'", text, flags=re.M)
    text = re.sub(r"^(user) = .*\n", "", text, flags=re.M)
    text = re.sub(r" group=www-data", "", text)
    return text.replace("tcp:*:7025", "tcp:127.0.0.1:@PORT@")


for example in glob.glob(f"{TOP}/doc/examples/*.ini"):
    assert "exec = " in with_program(os.path.basename(example))

with Daemon(CONF + with_program("queue-runner.ini")) as usher:
    put(f"{usher.dir}/spool/outbox", b"go\n")
    wait_for(lambda: lines(f"{usher.dir}/ran") == ["go"])
    usher.run("trigger", f"tcp:127.0.0.1:{usher.port()}", "net", "--ack")
    wait_for(lambda: lines(f"{usher.dir}/ran") == ["go", "net"])

with Daemon(CONF + with_program("reindex.ini")) as usher:
    for _ in range(100):
        put(f"{usher.dir}/spool/reindex", b"news\nwiki\n")
    wait_for(lambda: sorted(lines(f"{usher.dir}/ran")) == ["news", "wiki"])

with Daemon(CONF + with_program("hourly.ini").replace("1h", "200ms")) as usher:
    wait_for(lambda: len(lines(f"{usher.dir}/ran")) >= 2)
