"""Postfix rolls, reloads, and outlives its usher.

An open SMTP session finishes and its mail is delivered: over a roll, over
`postfix reload` (a SIGHUP to the pid in pid/master.pid), and after kill -9 of
an usher without keeper, whose idle workers see the end and leave.
"""
from harness import BINARY, Daemon, wait_for
from lab import Root
from postfix_lib import (USER, delivered, faults, mail_of, send, sections,
                         set_up, smtp)

roots = ["postfix"]
root = True
group = "peers"
timeout = 180

HEAD = """[usher]
pid_file = /var/spool/postfix/pid/master.pid
keeper = no

[defaults]
settle = 500ms

"""


def begin(session, token):
    """As far as the last dot, which is not sent yet."""
    session.ehlo()
    session.mail("bob@mail.example")
    session.rcpt(f"{USER}@mail.example")
    assert session.docmd("DATA")[0] == 354
    session.send(mail_of(token).replace("\n", "\r\n").encode())


def finish(session, token):
    code, text = session.docmd(".")
    assert code == 250, (code, text)
    session.quit()
    delivered(box, token)


def pids(usher, name="postfix-smtp-inet"):
    return {w["pid"] for w in usher.service(name)["workers"]}


def old_leaves(usher, old):
    """Postfix's workers queue at a lock for their turn to look at the door
    and the status channel; each client that comes lets the next one look."""
    def knock():
        smtp().quit()
        return not pids(usher) & old
    wait_for(knock)


with Root("postfix", net=True) as box:
    set_up(box)
    conf, _ = sections(box, BINARY)
    with box.inside_net(), Daemon(HEAD + conf, root=box, fds=False) as usher:
        send("before")
        delivered(box, "before")

        # A roll: the old worker has a client and finishes it.
        session = smtp()
        begin(session, "over-a-roll")
        old = pids(usher)
        usher.call("Roll", service="postfix-smtp-inet", wait=True)
        send("during")
        delivered(box, "during")
        assert pids(usher) - old, (old, pids(usher))
        finish(session, "over-a-roll")
        old_leaves(usher, old)

        # postfix reload: every service gets new workers, as with Postfix's
        # own master, and the session goes on.
        box.run("postfix", "status")
        session = smtp()
        begin(session, "over-a-reload")
        old = pids(usher)
        qmgr = pids(usher, "postfix-qmgr")
        assert len(qmgr) == 1, qmgr
        box.run("postfix", "reload")
        wait_for(lambda: not pids(usher, "postfix-qmgr") & qmgr
                 and pids(usher, "postfix-qmgr"))
        send("after-reload")
        delivered(box, "after-reload")
        finish(session, "over-a-reload")
        old_leaves(usher, old)
        assert not faults(box), faults(box)

        # kill -9 without keeper: who is idle leaves, who is not finishes.
        session = smtp()
        begin(session, "over-a-crash")
        talking = smtp()
        talking.ehlo()
        usher.kill()
        usher.read_notify()     # what the old one still said

        def left():
            lines = box.run("sh", "-c", "ps -e -o args= | grep [p]ostfix/sbin"
                            " || :").stdout.splitlines()
            return [line.split()[0].rpartition("/")[2] for line in lines]
        # Those of the session stay: smtpd, its cleanup, what they ask.
        wait_for(lambda: set(left()) <= {"smtpd", "cleanup", "proxymap",
                                         "trivial-rewrite", "anvil"})
        assert talking.noop()[0] == 250
        assert talking.quit()[0] == 221
        usher.status = 0
        usher.start()
        finish(session, "over-a-crash")
        # Until then its smtpd held the port; usher tries again.
        usher.wait_state("postfix-smtp-inet", "running")
        usher.wait_state("postfix-cleanup", "running")
        send("after-a-crash")
        delivered(box, "after-a-crash")
        assert not faults(box), faults(box)
    wait_for(lambda: not left())
