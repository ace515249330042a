"""99 clients at once at a cold service: all greeted in less than half the time
that Postfix's own master needs, which starts one worker after the other. Once
with a small worker that speaks the master's protocol, which measures those who
start it and is judged; once with smtpd, whose own start is most of the time.
Here ten times as wide, as all figures are in a check; BOUNDS=1, ROUNDS=5."""
import os
import selectors
import socket
import statistics
import subprocess
import time

from harness import BINARY, TOP, Daemon
from lab import Root
from postfix_lib import sections, set_up

roots = ["postfix"]
root = True
group = "peers"
timeout = 120

CLIENTS = 99
WORKER = "postfix-worker"
BAR = 0.5 * float(os.environ.get("BOUNDS", "10"))
ROUNDS = int(os.environ.get("ROUNDS", "1"))


def greet_all():
    """Seconds until the last of CLIENTS has its greeting."""
    began = time.monotonic()
    waiting = selectors.DefaultSelector()
    clients = []
    for _ in range(CLIENTS):
        client = socket.create_connection(("127.0.0.1", 25), 60)
        clients.append(client)
        waiting.register(client, selectors.EVENT_READ)
    left = CLIENTS
    while left:
        found = waiting.select(60)
        assert found, f"{left} clients were not greeted in 60 s"
        for key, _ in found:
            text = key.fileobj.recv(100)
            assert text.startswith(b"220 "), text
            waiting.unregister(key.fileobj)
            left -= 1
    took = time.monotonic() - began
    for client in clients:
        client.close()
    return took


def set_up_with(box, program):
    """PROGRAM is what serves port 25."""
    set_up(box)
    if program != WORKER:
        return
    subprocess.run(["cc", "-O2", "-static", "-o",
                    f"{box.scratch}/{WORKER}",
                    os.path.join(TOP, "doc", "examples", f"{WORKER}.c")],
                   check=True)
    box.run("cp", f"{box.scratch}/{WORKER}", "/usr/lib/postfix/sbin/")
    box.run("postconf", "-F", f"smtp/inet/command={WORKER}")
    box.run("postconf", "-F", "smtp/inet/chroot=n")


def by_usher(program):
    with Root("postfix", net=True) as box:
        set_up_with(box, program)
        conf, _ = sections(box, BINARY)
        with box.inside_net(), Daemon(conf, root=box, fds=False):
            return greet_all()


def by_master(program):
    with Root("postfix", net=True) as box:
        set_up_with(box, program)
        with box.inside_net():
            box.run("postfix", "start")
            try:
                return greet_all()
            finally:
                box.run("postfix", "stop", status=None)


def compare(program):
    took = {"usher": [], "master": []}
    for _ in range(ROUNDS):
        took["usher"].append(by_usher(program))
        took["master"].append(by_master(program))
    ratio = statistics.median(a / b for a, b in zip(*took.values()))
    print(f"{program}: all greeted in {ratio:.2f} of the master's time;",
          {name: [round(t, 3) for t in times] for name, times in took.items()})
    return ratio


ratios = {program: compare(program) for program in (WORKER, "smtpd")}
assert ratios[WORKER] < BAR and ratios["smtpd"] < 5, ratios
