"""Many are woken for one client and one accepts: the others come too late and
go back to the clients that they have, since their door does not block, as
Postfix's master has it. Programs of the other protocols get one that does. A
reload to another protocol changes it, a kill or an upgrade does not."""
import os

from harness import Daemon, wait_for

timeout = 60
parallel = True

WORKERS = 3
HERD = f"""
[defaults]
settle = 0
respawn_delay = 1ms
drain_timeout = 100ms

[service herd]
listen = unix:@DIR@/herd
protocol = postfix
exec = /usr/bin/python3 @TESTS@/herd_worker.py @DIR@ {WORKERS}
workers = {WORKERS}
"""
OTHERS = """
[service fifo]
listen = fifo:@DIR@/fifo
protocol = postfix
exec = /usr/bin/sleep 1000

[service other]
listen = unix:@DIR@/other
handoff = share
protocol = PROTOCOL
exec = /usr/bin/sleep 1000
"""


def noted(word):
    return sum(name.startswith(word) for name in os.listdir(usher.dir))


def blocks(service):
    """What usher's own descriptor of that door says; it is the socket's."""
    wanted = f"{usher.dir}/{service}"
    with open("/proc/net/unix", encoding="utf-8") as table:
        inodes = {f"socket:[{line.split()[6]}]" for line in table
                  if line.rstrip().endswith(" " + wanted)}
    for fd in os.listdir(f"/proc/{usher.pid}/fd"):
        if os.readlink(f"/proc/{usher.pid}/fd/{fd}") in inodes | {wanted}:
            with open(f"/proc/{usher.pid}/fdinfo/{fd}",
                      encoding="utf-8") as info:
                flags = int(info.readlines()[1].split()[1], 8)
            return not flags & os.O_NONBLOCK
    raise AssertionError(f"no door of {service}")


def others_as(protocol):
    usher.write(HERD + OTHERS.replace("PROTOCOL", protocol))
    usher.run("reload", "--wait")


def look(other):
    assert not blocks("herd") and not blocks("fifo")
    assert blocks("other") == (other != "postfix"), other


with Daemon(HERD + OTHERS.replace("PROTOCOL", "systemd"), fds=False) as usher:
    wait_for(lambda: noted("waits") == WORKERS)
    clients = [usher.client("herd")]
    wait_for(lambda: noted("late") == WORKERS - 1)
    clients += [usher.client("herd") for _ in range(10)]
    for _ in range(3):
        for client in clients:
            client.sendall(b"who\n")
        answers = {int(client.recv(100)) for client in clients}
        assert answers <= set(usher.workers("herd")), answers
    for client in clients:
        client.close()

    look("systemd")
    for protocol in ("postfix", "fastcgi", "postfix"):
        others_as(protocol)
        look(protocol)
    usher.run("upgrade")
    look("postfix")
