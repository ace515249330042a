"""Every daemon of Postfix that Debian's package has runs under usher: each is
started by an arrival at its door and speaks to who came; mail comes in
through postscreen, which passes the connection on to smtpd."""
import base64
import json

from harness import BINARY, Daemon, wait_for
from lab import Root
from postfix_lib import (USER, delivered, faults, log, mail_of, sections, send,
                         set_up)

roots = ["postfix"]
root = True
group = "peers"
timeout = 240

# Debian's own lines for what its file has commented out or not at all.
LINES = """\
smtp      inet  n       -       y       -       1       postscreen
smtpd     pass  -       -       y       -       -       smtpd
dnsblog   unix  -       -       y       -       0       dnsblog
tlsproxy  unix  -       -       y       -       0       tlsproxy
628       inet  n       -       y       -       -       qmqpd
policy    unix  -       n       n       -       -       spawn
  user=nobody argv=/bin/cat
pipes     unix  -       n       n       -       -       pipe
  flags=R user=nobody argv=/bin/true
"""

def netstring(data):
    return b"%d:%s," % (len(data), data)


def attributes(*words):
    return b"".join(word.encode() + b"\0" for word in (*words, ""))


# Who waits to be spoken to; all others speak first.
SAY = {
    "policy": b"hello\n",
    "628-inet": netstring(b"".join(map(netstring, (
        mail_of("by-qmqp").encode(), b"bob@mail.example",
        f"{USER}@mail.example".encode())))),
    "dnsblog": attributes("rbl_domain", "dnsbl.invalid", "client_address",
                          "127.0.0.1", "label", "0"),
}

# In the root: connects to what is asked, tells what came.
CLIENT = """
import base64, json, socket, sys
found = {}
for name, (kind, where, say) in json.load(sys.stdin).items():
    s = socket.socket(socket.AF_INET if kind == "inet" else socket.AF_UNIX)
    s.settimeout(10)
    try:
        s.connect(("127.0.0.1", int(where)) if kind == "inet" else where)
        if say:
            s.sendall(base64.b64decode(say))
        found[name] = base64.b64encode(s.recv(1000)).decode()
    except OSError as error:
        found[name] = ""
        print(name, error, file=sys.stderr)
print(json.dumps(found))
"""

# Its doors take wake-ups (qmgr, pickup) or log lines (postlog), no talk.
SILENT = {"pickup", "qmgr", "postlog"}

with Root("postfix", net=True) as box:
    set_up(box)
    box.run("sh", "-c", "sed -i '/^smtp *inet/d' /etc/postfix/master.cf; "
            "cat >>/etc/postfix/master.cf", input=LINES)
    box.run("postconf", "postscreen_greet_wait=1s", "qmqpd_authorized_clients="
            "127.0.0.0/8", "postscreen_access_list=",
            "virtual_mailbox_base=/var/mail")
    conf, told = sections(box, BINARY)
    with box.inside_net(), Daemon(conf, root=box, fds=False) as usher:
        status = usher.call("Status")
        assert not status["degraded"], status["degraded"]
        names = [s["name"] for s in status["services"]]
        assert len(names) > 30, names

        send("by-postscreen")
        delivered(box, "by-postscreen")
        assert "CONNECT from" in log(box) and "PASS" in log(box), log(box)

        asked = {}
        for service in status["services"]:
            name = service["name"].removeprefix("postfix-")
            where = service["endpoints"][0]["address"]
            kind, _, rest = where.partition(":")
            if name in SILENT or kind == "unix-pass":
                continue
            if kind.startswith("tcp"):
                kind, rest = "inet", rest.rpartition(":")[2]
            asked[name] = (kind, rest, base64.b64encode(
                SAY.get(name, b"")).decode())
        done = box.run("python3", "-c", CLIENT, input=json.dumps(asked))
        print(done.stderr)
        answers = {name: base64.b64decode(text)
                   for name, text in json.loads(done.stdout).items()}
        print(answers)
        delivered(box, "by-qmqp")
        assert not [n for n, text in answers.items() if not text], answers
        for name in SILENT - {"postlog"}:
            wait_for(lambda name=name: usher.workers(f"postfix-{name}"))
        status = usher.call("Status")
        assert not status["degraded"], status["degraded"]
        assert not faults(box), faults(box)
