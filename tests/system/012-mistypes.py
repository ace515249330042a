"""Doors that leave no room for each other, and commands that do not exist:
the error names usher's own door, and the word that was meant; a program that
is not on PATH, and one that is a link and stays one."""
import os
import socket
import subprocess
import tempfile

from harness import BINARY, Daemon, receive_all

parallel = True

CONF = """
[service narrow]
listen = tcp:127.0.0.1:@PORT@
exec = /bin/echo narrow
"""
WIDE = """
[service wide]
listen = tcp:*:@PORT@
exec = /bin/echo wide
"""


def said(*words):
    done = subprocess.run([BINARY, *words], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


with Daemon(CONF) as usher:
    narrow = usher.expand("tcp:127.0.0.1:@PORT@")
    own = usher.expand(f"tcp:*:@PORT@: no room beside {narrow}, a door of "
                       "service narrow (@DIR@/usher.ini:")
    usher.write(CONF + WIDE)
    done = usher.run("reload", status=1)
    assert own in done.stderr, done
    # A door that was given stays, whatever the file says.
    with socket.socket() as given:
        given.bind(("127.0.0.1", 0))
        given.listen()
        port = given.getsockname()[1]
        usher.run("adopt", "narrow", "--fd", given.fileno(),
                  pass_fds=(given.fileno(),))
    usher.write(CONF + WIDE.replace("@PORT@", str(port)))
    done = usher.run("reload", status=1)
    assert (f"[service wide] listen: tcp:*:{port}: no room beside tcp:127.0.0.1:{port}, a door "
            "of narrow that stays; of two that overlap one must go"
            ) in done.stderr, done
    with usher.client("narrow") as client:
        assert receive_all(client) == b"narrow\n"
    # The same service widens its door, or another one takes its place.
    for text in CONF.replace("127.0.0.1", "*"), WIDE:
        usher.write(text)
        usher.run("reload")

assert said("sttus") == (
    2, "", "usher: no command 'sttus'; did you mean status?\n")
assert said("nonsenseword") == (
    2, "", "usher: no command 'nonsenseword'; see usher --help\n")
assert said("-V") == said("--version")
assert said("-h") == said("--help")

with tempfile.TemporaryDirectory() as folder:
    link = os.path.join(folder, "current")
    os.symlink("/bin/cat", link)
    status, out, _ = said("run", "-l", "1", "--print-config", "--", link)
    assert status == 0 and f"exec = {link}\n" in out, out
status, _, err = said("run", "-l", "1", "--", "no-such-program")
assert status == 78 and "nothing of that name is on PATH" in err, err
