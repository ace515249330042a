"""kill -9 of usher with the keeper: Postfix's workers stay, their sessions
go on, and the next usher has them: who was busy becomes available again."""
import os

from harness import BINARY, Daemon, wait_for
from lab import Root
from postfix_lib import (USER, delivered, faults, mail_of, send, sections,
                         set_up, smtp)

roots = ["postfix"]
root = True
group = "peers"
timeout = 180

HEAD = "[usher]\nkeeper = yes\n\n"


def workers(usher, name="postfix-smtp-inet"):
    return {w["pid"]: w["state"] for w in usher.service(name)["workers"]}


def environ(pid):
    with open(f"/proc/{pid}/environ", encoding="utf-8") as file:
        return dict(word.split("=", 1)
                    for word in file.read().split("\0") if word)


with Root("postfix", net=True) as box:
    set_up(box)
    conf, _ = sections(box, BINARY)
    with box.inside_net(), Daemon(HEAD + conf, root=box, fds=False) as usher:
        send("before")
        delivered(box, "before")
        session = smtp()
        session.ehlo()
        session.mail("bob@mail.example")
        session.rcpt(f"{USER}@mail.example")
        wait_for(lambda: "busy" in workers(usher).values())
        before = workers(usher)
        qmgr = workers(usher, "postfix-qmgr")

        usher.kill()
        usher.read_notify()     # what the old one still said
        assert session.noop()[0] == 250
        usher.start()
        assert workers(usher).keys() == before.keys()
        assert workers(usher, "postfix-qmgr").keys() == qmgr.keys()

        code, text = session.data(mail_of("over-the-crash"))
        assert code == 250, (code, text)
        delivered(box, "over-the-crash")
        session.quit()
        # Its AVAIL is understood by an usher that did not start it.
        wait_for(lambda: set(workers(usher).values()) == {"idle"})
        gossip = usher.service("postfix-smtp-inet")["gossip"]
        sessions = [smtp() for _ in range(4)]
        wait_for(lambda: len(workers(usher)) == 4)
        # All share one flow pipe, those before the crash and those after.
        pipes = {os.readlink(f"/proc/{pid}/fd/3")
                 for pid in [*workers(usher), *qmgr]}
        assert len(pipes) == 1, pipes
        # GENERATION grew on: no two starts have the same.
        starts = [environ(pid)["GENERATION"] for pid in workers(usher)]
        assert len(set(starts)) == len(starts), starts
        for one in sessions:
            one.quit()
        send("after")
        delivered(box, "after")
        assert usher.service("postfix-smtp-inet")["gossip"] == gossip
        assert not faults(box), faults(box)
