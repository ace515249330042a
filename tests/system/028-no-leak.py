"""After 100,000 connections (a twentieth in a check) each through echo, spawn
and pass: as many descriptors as before, no more memory, no zombie."""
import threading

from harness import (Daemon, children, connect, descriptors, dose,
                     process_state, wait_for)

plain = True
timeout = 240
full = 3600

CONF = """
[service echo]
listen = unix:@DIR@/echo backlog=1024
builtin = echo

[service spawn]
listen = unix:@DIR@/spawn backlog=1024
exec = /bin/echo x

[service pass]
listen = unix:@DIR@/pass backlog=1024
exec = /usr/bin/python3 @TESTS@/pass_worker.py hello
handoff = pass
workers = 2
"""
CONNECTIONS = dose(100000)


def memory(pid):
    """Resident, and not a file's: KiB."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        words = dict(line.split(":", 1) for line in file)
    return int(words["RssAnon"].split()[0])


def clients(address, count):
    for _ in range(count):
        with connect(address, 60) as client:
            if address.endswith("/echo"):
                client.sendall(b"x")
            assert client.recv(100)


def load(usher, name, count):
    address = usher.address(name)
    failed = []

    def run():
        try:
            clients(address, count // 4)
        except BaseException as error:      # told by the main thread
            failed.append(error)
    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, (name, failed)
    wait_for(lambda: usher.service(name)["busy"] == 0)


with Daemon(CONF) as usher:
    for name in ("echo", "spawn", "pass"):
        load(usher, name, max(400, CONNECTIONS // 10))  # what it grows to
        fds, before = len(descriptors(usher.pid)), memory(usher.pid)
        served = usher.service(name)["served"]
        load(usher, name, CONNECTIONS)
        wait_for(lambda: len(descriptors(usher.pid)) <= fds, what="descriptors")
        grown = memory(usher.pid) - before
        wait_for(lambda: usher.service(name)["served"]
                 == served + CONNECTIONS // 4 * 4)
        assert all(process_state(p) != "Z" for p in children(usher.pid))
        print(f"{name}: {CONNECTIONS} connections, {grown} KiB more")
        # A sanitizer keeps what was freed for a while, up to 256 MiB.
        with open(f"/proc/{usher.pid}/maps", encoding="utf-8") as file:
            sanitized = "libasan" in file.read()
        assert grown < (65536 if sanitized else 512), (name, grown)
