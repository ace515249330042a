"""With 64 descriptors and 500 clients: nobody is lost, usher does not spin
while it waits, recovers by itself, and says it in two lines."""
import os
import resource
import threading
import time

from harness import Daemon, receive_all, wait_for

plain = True
timeout = 180

CONF = """
[service held]
listen = tcp:127.0.0.1:@PORT:@KIND@@ backlog=1024
@KEYS@
log_connections = no
"""
KINDS = {
    # Each client held by usher itself, by a process, by a worker's queue.
    "echo": "builtin = echo",
    "spawn": "exec = /bin/cat",
    "pass": "exec = /usr/bin/python3 @TESTS@/pass_worker.py echo\n"
            "handoff = pass\nworkers = 2\nqueue_limit = 10",
}
CLIENTS = 500
WATCHED = 3.0       # seconds


def cpu(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        words = file.read().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def ask(client, number, answered):
    """A client that waits its turn, says something, and hears it."""
    client.settimeout(120)
    with client:
        client.sendall(b"client %d" % number)
        client.shutdown(1)
        if receive_all(client).endswith(b"client %d" % number):
            answered.append(number)


def starve(kind):
    conf = CONF.replace("@KEYS@", KINDS[kind]).replace("@KIND@", kind)
    with Daemon(conf, command=["prlimit", "--nofile=64:64", "@BUILD@/usher",
                               "serve", "-c", "@DIR@/usher.ini"]) as usher:
        clients = [usher.client("held") for _ in range(CLIENTS)]
        # They say nothing, so what is accepted stays. (Deeds come later.)
        def settled():
            before = usher.service("held")["arrivals"]
            time.sleep(0.3)
            return before and usher.service("held")["arrivals"] == before
        wait_for(settled, 40)
        used, began = cpu(usher.pid), time.monotonic()
        time.sleep(WATCHED)     # the time over which it is measured
        share = (cpu(usher.pid) - used) / (time.monotonic() - began)
        assert share < 0.05, f"{kind}: {100 * share:.1f} % CPU while waiting"
        # The administrator gets in.
        assert usher.call("Status")["services"][0]["arrivals"] < CLIENTS
        answered = []
        threads = [threading.Thread(target=ask, args=(c, n, answered))
                   for n, c in enumerate(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(answered) == CLIENTS, (kind, len(answered))
        wait_for(lambda: usher.service("held")["arrivals"] == CLIENTS)
        told = [line for line in usher.log.splitlines()
                if "usher: info: held[" not in line]
        assert len(told) <= 2 + (kind == "pass"), (kind, told)
        if kind != "pass":
            assert any("descriptors" in line or "Too many open files" in line
                       for line in told), told
        with usher.client("held") as client:
            ask(client, 0, answered)
        assert len(answered) == CLIENTS + 1
        print(f"{kind}: {100 * share:.1f} % CPU, {len(told)} lines")


soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
for name in KINDS:
    starve(name)


def fair():
    """A service whose clients all stay leaves room for another's."""
    conf = CONF.replace("@KEYS@", KINDS["spawn"]).replace("@KIND@", "spawn")
    conf += "[service other]\nlisten = unix:@DIR@/other\nexec = /bin/cat\n"
    with Daemon(conf, command=["prlimit", "--nofile=64:64", "@BUILD@/usher",
                               "serve", "-c", "@DIR@/usher.ini"]) as usher:
        clients = [usher.client("held") for _ in range(100)]
        wait_for(lambda: usher.service("held")["busy"] == 8)
        began = time.monotonic()
        for number in range(20):
            with usher.client("other") as client:
                client.sendall(b"%d" % number)
                client.shutdown(1)
                assert receive_all(client) == b"%d" % number
        assert time.monotonic() - began < 10
        assert usher.service("held")["busy"] == 8
        for client in clients:
            client.close()


fair()
