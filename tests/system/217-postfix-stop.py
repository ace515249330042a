"""`postfix stop` and `postfix abort` end an usher in the master's place, as
they end the master: by its pid file, and they see that it has gone."""
from harness import BINARY, Daemon, wait_for
from lab import Root
from postfix_lib import delivered, log, send, sections, set_up

roots = ["postfix"]
root = True
group = "peers"
timeout = 180

for word in ("stop", "abort"):
    with Root("postfix", net=True) as box:
        set_up(box)
        conf, _ = sections(box, BINARY)
        head = "[usher]\npid_file = /var/spool/postfix/pid/master.pid\n\n"
        with box.inside_net(), \
                Daemon(head + conf, root=box, fds=False) as usher:
            box.run("postfix", "status")
            send(f"before-{word}")
            delivered(box, f"before-{word}")
            box.run("postfix", word)
            wait_for(usher.exited)
            assert box.run("postfix", "status", status=None).returncode != 0
            assert not box.run("sh", "-c", "ps -e -o args= | "
                               "grep [p]ostfix/sbin || :").stdout
        assert "fatal" not in log(box), log(box)
