"""Debian's unmodified Postfix with usher in its master's place.

master.cf is imported as it is; mail comes in by SMTP and by sendmail(1) and
is delivered; postqueue and postkick work; nothing is left at the end.
"""
from harness import BINARY, Daemon, wait_for
from lab import Root
from postfix_lib import (USER, delivered, faults, log, mail_of, send, sections,
                         set_up, smtp)

roots = ["postfix"]
root = True
group = "peers"
timeout = 180

with Root("postfix", net=True) as box:
    set_up(box)
    conf, told = sections(box, BINARY)
    # Each line that is not wholly expressed is named and explained.
    for line in told.strip().splitlines()[:-1]:
        assert line.startswith("/etc/postfix/master.cf:"), line
        assert "wakeup 1000?" in line, line
    head = "[usher]\npid_file = /var/spool/postfix/pid/master.pid\n\n"
    with box.inside_net(), Daemon(head + conf, root=box, fds=False) as usher:
        status = usher.call("Status")
        names = {s["name"] for s in status["services"]}
        assert {"postfix-smtp-inet", "postfix-qmgr", "postfix-local",
                "postfix-pickup", "postfix-cleanup"} <= names, names
        assert not status["degraded"], status["degraded"]

        send("by-smtp-one")
        delivered(box, "by-smtp-one")

        # sendmail(1) drops it and knocks at pickup's door itself.
        box.run("sendmail", "-f", "bob@mail.example",
                f"{USER}@mail.example", input=mail_of("by-sendmail"))
        delivered(box, "by-sendmail")

        # A second client in the same worker: it became available again.
        for n in range(3):
            send(f"again-{n}")
            delivered(box, f"again-{n}")
        served = usher.service("postfix-smtp-inet")
        assert served["served"] >= 3, served
        assert len(served["workers"]) == 1, served

        # Many at once are many workers.
        sessions = [smtp() for _ in range(12)]
        busy = usher.service("postfix-smtp-inet")
        assert len(busy["workers"]) == 12, busy
        for session in sessions:
            session.quit()

        assert "empty" in box.run("postqueue", "-p").stdout
        # postkick writes W and NUL apart and dies of SIGPIPE where the
        # daemon was done after the W; that is Postfix's own.
        for name in ("qmgr", "pickup"):
            wait_for(lambda: box.run("postkick", "public", name, "W",
                                     status=None).returncode == 0)
        box.run("postfix", "status")
        box.run("postqueue", "-f")
        assert not faults(box), faults(box)
    assert not box.run("sh", "-c", "ps -e -o args= | grep [p]ostfix/sbin "
                       "|| :").stdout
    assert "fatal" not in log(box), log(box)
