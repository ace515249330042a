"""Postfix rolls, reloads, and outlives its usher.

An open SMTP session finishes and its mail is delivered: over a roll, over
`postfix reload` (a SIGHUP to the pid in pid/master.pid), and after kill -9 of
an usher without keeper, whose idle workers see the end and leave.
"""
import signal

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
    code, text = session.docmd("\r\n.")
    assert code == 250, (code, text)
    session.quit()
    delivered(box, token)


def pids(usher, name="postfix-smtp-inet"):
    return {w["pid"] for w in usher.service(name)["workers"]}


with Root("postfix", net=True) as box:
    set_up(box)
    conf, _ = sections(box, BINARY)
    with box.inside_net(), Daemon(HEAD + conf, root=box, fds=False,
                                  status=-signal.SIGKILL) as usher:
        send("before")
        delivered(box, "before")

        # A roll: the old worker has a client and finishes it.
        session = smtp()
        begin(session, "over-a-roll")
        old = pids(usher)
        usher.run("roll", "--wait", "postfix-smtp-inet")
        send("during")
        delivered(box, "during")
        assert pids(usher) - old, (old, pids(usher))
        finish(session, "over-a-roll")
        wait_for(lambda: not pids(usher) & old)

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
        wait_for(lambda: not pids(usher) & old)
        assert not faults(box), faults(box)

        # kill -9 without keeper: who is idle leaves, who is not finishes.
        session = smtp()
        begin(session, "over-a-crash")
        usher.kill()

        def left():
            lines = box.run("sh", "-c", "ps -e -o args= | grep [p]ostfix/sbin"
                            " || :").stdout.splitlines()
            return [line.split()[0].rpartition("/")[2] for line in lines]
        wait_for(lambda: set(left()) <= {"smtpd", "cleanup", "proxymap",
                                         "trivial-rewrite", "anvil"})
        code, text = session.docmd("\r\n.")
        assert code == 250, (code, text)
        session.quit()
        wait_for(lambda: not left())

    # The mail is in the queue; the next usher's qmgr finds it there.
    with box.inside_net(), Daemon(HEAD + conf, root=box, fds=False) as usher:
        delivered(box, "over-a-crash")
