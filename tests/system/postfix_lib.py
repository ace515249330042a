"""A Postfix root in which usher is the master: set up, imported, spoken to."""
import re
import smtplib

from harness import wait_for

MAIN = {
    "myhostname": "mail.example", "mydestination": "mail.example, localhost",
    "inet_interfaces": "loopback-only", "mynetworks": "127.0.0.0/8",
    "compatibility_level": "3.6", "alias_maps": "", "alias_database": "",
    "smtpd_tls_security_level": "none", "smtp_tls_security_level": "none",
    "maillog_file": "/var/log/postfix.log", "biff": "no",
    "smtputf8_enable": "no",
}
USER = "alice"


def set_up(root):
    """A mail system that delivers to alice; nothing of it runs."""
    for key, value in MAIN.items():
        root.run("postconf", f"{key}={value}")
    root.run("sh", "-c", "useradd -m -s /bin/sh " + USER)
    # What Debian's init script copies for chrooted daemons.
    root.run("sh", "-c", """set -e
        cd /var/spool/postfix; mkdir -p etc
        for f in hosts services nsswitch.conf localtime host.conf; do
            [ ! -e /etc/$f ] || cp -L /etc/$f etc/; done
        echo 127.0.0.1 localhost >etc/hosts
        cp etc/hosts /etc/hosts; : >etc/resolv.conf
        mkdir -p /var/log; chmod 1777 /var/mail || :
        postfix check""")


def sections(root, usher_binary):
    """What `usher import master.cf` makes of Debian's file."""
    done = root.run(usher_binary, "import", "master.cf",
                    "/etc/postfix/master.cf")
    return done.stdout, done.stderr


def mailbox(root, user=USER):
    done = root.run("sh", "-c", f"cat /var/mail/{user} 2>/dev/null || :")
    return done.stdout


def log(root):
    return root.run("sh", "-c", "cat /var/log/postfix.log || :").stdout


def delivered(root, token, deadline=40):
    """Until the mail that holds TOKEN is in the mailbox."""
    try:
        wait_for(lambda: token in mailbox(root), deadline,
                 f"mail {token}")
    except AssertionError:
        print("--- Postfix's log\n" + log(root)
              + root.run("postqueue", "-p", status=None).stdout, flush=True)
        raise


def smtp(timeout=30):
    return smtplib.SMTP("127.0.0.1", 25, local_hostname="client.example",
                        timeout=timeout)


def mail_of(token):
    return f"Subject: {token}\nFrom: bob@mail.example\n\n{token}\n"


def send(token):
    with smtp() as session:
        session.sendmail("bob@mail.example", [f"{USER}@mail.example"],
                         mail_of(token))


def faults(root):
    """Postfix's complaints about its master, or about itself."""
    return re.findall(r".*(?:fatal|panic|master_notify|status fd).*",
                      log(root))
