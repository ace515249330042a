"""usher import: Debian's own files become sections that usher check takes."""
from harness import BINARY
from lab import Root

roots = ["peers", "xinetd", "boot12"]
root = True
group = "peers"


def imported(box, *words):
    """The sections, having gone through usher check; what was told."""
    done = box.run(BINARY, "import", *words)
    box.write("/tmp/imported.ini", "[usher]\ncontrol = unix:/tmp/c\n"
              "spool = /tmp/spool\n" + done.stdout)
    box.run(BINARY, "check", "-c", "/tmp/imported.ini")
    return done.stdout, done.stderr.strip().splitlines()


with Root("peers") as box:
    text, told = imported(box, "inetd", "/etc/inetd.conf")
    assert "[service www]\nlisten = tcp4:*:www\n" in text, text
    assert told == ["1 service"], told

    for words, status, error in (
            (["--help"], 0, ""), ([], 2, "usage: usher import"),
            (["cron", "x"], 2, "not a format: cron"),
            (["inetd"], 2, "usage"),
            (["inetd", "/nowhere"], 1, "/nowhere: No such file")):
        done = box.run(BINARY, "import", *words, status=status)
        assert error in done.stderr, done.stderr
    assert "master.cf" in box.run(BINARY, "import", "--help").stdout

with Root("xinetd") as box:
    text, told = imported(box, "xinetd", "/etc/xinetd.conf")
    assert "[service echo-stream]\n" in text and "builtin = echo" in text
    assert "[service discard-stream]\n" in text
    # All are INTERNAL and off; each of the others is named and explained.
    assert all("internal service" in line and ", disabled" in line
               for line in told[:-1]), told
    assert text.count("enabled = no") == text.count("[service "), text

PAIR = """[Socket]
ListenStream=/run/%s.sock
SocketMode=0660
Accept=%s
[Install]
WantedBy=sockets.target
"""
SERVICE = """[Unit]
Description=x
[Service]
ExecStart=/bin/cat
User=nobody
StandardInput=%s
"""

with Root("boot12") as box:
    base = "/etc/systemd/system/"
    box.write(base + "each.socket", PAIR % ("each", "yes"))
    box.write(base + "each@.service", SERVICE % "socket")
    box.write(base + "one.socket", PAIR % ("one", "no"))
    box.write(base + "one.service", SERVICE % "null")
    text, told = imported(box, "systemd", base + "each.socket",
                          base + "one.socket", base + "one.service")
    assert "[service each]\nlisten = unix:/run/each.sock mode=0660" in text
    assert "handoff = spawn\nprotocol = inetd" in text, text
    assert "handoff = share\nworkers = 0-1" in text, text
    assert told == ["2 services"], told

    # Debian's own pair; what it says that usher can't is named by line.
    text, told = imported(box, "systemd", "/lib/systemd/system/dbus.socket")
    assert "listen = unix:/run/dbus/system_bus_socket" in text, text
    assert all(line.startswith("/lib/systemd/system/dbus.")
               for line in told[:-1]), told
