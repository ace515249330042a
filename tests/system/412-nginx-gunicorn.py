"""Debian's nginx serves 1,000 connections a second; usher takes its doors by
the cure that the error names, and by a plain adopt; nginx stops, usher serves;
gunicorn borrows a door (fetch --lease) and gives it back: no client sees an
error."""
import json
import re
import shlex
import signal
import subprocess
import threading

from harness import (BINARY, Daemon, PYTHON, command_of, dose, popen,
                     process_state, stopped, wait_for)
from lab import Root

group = "peers"
roots = ["peers"]
timeout = 300
full = 900

# THREADS connect as often as wanted, ask, read to the end; who answered is
# told twice a second, until standard input ends.
LOAD = """
import json, socket, sys, threading, time
port, rate, threads = int(sys.argv[1]), float(sys.argv[2]), 8
answers, errors, end = {}, [], threading.Event()

def ask():
    with socket.create_connection(("127.0.0.1", port), 30) as sock:
        sock.sendall(b"GET / HTTP/1.0\\r\\nHost: x\\r\\n\\r\\n")
        text = b""
        while part := sock.recv(4096):
            text += part
    head, _, body = text.partition(b"\\r\\n\\r\\n")
    if not head.startswith(b"HTTP/1.") or b" 200 " not in head:
        raise OSError(f"answer {text!r}")
    return body.decode().strip()

def run():
    due = time.monotonic()
    while not end.is_set():
        try:
            name = ask()
            answers[name] = answers.get(name, 0) + 1
        except OSError as error:
            errors.append(repr(error))
        due = max(due + threads / rate, time.monotonic() - 1)
        time.sleep(max(0, due - time.monotonic()))

def tell():
    while not end.wait(0.1):
        say()

def say():
    print(json.dumps([dict(answers), errors[:9]]), flush=True)

began = time.monotonic()
all_of_them = [threading.Thread(target=run) for _ in range(threads)]
all_of_them.append(threading.Thread(target=tell))
for thread in all_of_them:
    thread.start()
sys.stdin.read()
end.set()
for thread in all_of_them:
    thread.join()
say()
"""

NGINX = """
daemon off; master_process on; worker_processes 2;
pid {dir}/nginx.pid; error_log stderr;
events {{ worker_connections 512; }}
http {{
	access_log off;
	keepalive_timeout 0;
	server {{
		listen 127.0.0.1:{web} backlog=511;
		listen 127.0.0.1:{other};
		location / {{ return 200 "nginx\\n"; }}
	}}
}}
"""

WORKER = """
import os, socket
door = socket.socket(fileno=int(os.environ["USHER_FD"]))
while True:
    words, fds, _, _ = socket.recv_fds(door, 4096, 1)
    if not words:
        break
    with socket.socket(fileno=fds[0]) as client:
        client.setblocking(True)
        text = b""
        while b"\\r\\n\\r\\n" not in text and (part := client.recv(4096)):
            text += part
        client.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\nusher\\n")
"""

APP = """
def app(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    return [b"gunicorn\\n"]
"""

CONF = """
[usher]
control = unix:@INSIDE@/control

[service web]
listen = tcp:127.0.0.1:@PORT:web@ backlog=511
exec = /usr/bin/python3 @DIR@/worker.py
handoff = pass
workers = 2

[service other]
listen = unix:@DIR@/other
exec = /usr/bin/python3 @DIR@/worker.py
handoff = pass
"""


class Load:
    """LOAD in a process of its own."""

    def __init__(self, port, rate):
        self.answers, self.errors = {}, []
        self.process = popen([PYTHON, "-c", LOAD, str(port), str(rate)],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             text=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.answers, self.errors = json.loads(line)

    def wait(self, name, more):
        goal = self.answers.get(name, 0) + more
        wait_for(lambda: self.errors or self.answers.get(name, 0) >= goal,
                 120, f"{more} answers of {name}")
        assert not self.errors, self.errors

    def stop(self):
        self.process.stdin.close()
        self.reader.join()
        stopped(self.process)
        self.process.stdout.close()
        assert not self.errors, self.errors
        return self.answers


def main(rate, some):
    with Root("peers") as peers:
        usher = Daemon(CONF.replace("@INSIDE@", peers.scratch), fds=False)
        for path, text in ((f"{usher.dir}/worker.py", WORKER),
                           (f"{peers.scratch}/app.py", APP)):
            with open(path, "w", encoding="ascii") as file:
                file.write(text)
        replace(usher, peers, rate, some)


def replace(usher, peers, rate, some):
    web, other = usher.port("web"), usher.port("other")
    peers.write("/etc/nginx/usher.conf", NGINX.format(
        dir=peers.scratch, web=web, other=other))
    nginx = peers.popen("/usr/sbin/nginx", "-c", "/etc/nginx/usher.conf")
    master = wait_for(lambda: int(open(f"{peers.scratch}/nginx.pid",
                                       encoding="ascii").read() or 0))
    loads = [Load(web, rate), Load(other, rate / 10)]
    for load in loads:
        load.wait("nginx", 20)
    with usher:
        # The cure, as the error has it.
        reason = usher.service("web")["reason"]
        found = re.fullmatch(
            rf"tcp:127\.0\.0\.1:{web} is held by nginx \(pid (\d+)\); "
            r"'(usher adopt web --pid \d+ --listen \S+)' takes it without "
            "closing", reason)
        assert found, reason
        assert "nginx" in command_of(int(found.group(1)))
        usher.run(*shlex.split(found.group(2))[1:])
        assert usher.service("web")["state"] == "running"
        # The other, which no file names.
        usher.run("adopt", "other", "--pid", str(master), "--listen",
                  f"tcp:127.0.0.1:{other}")
        for load in loads:
            load.wait("usher", 20)
        # It finishes what it has, and stops.
        stopped(nginx, signal.SIGQUIT)
        assert not process_state(master)
        for load, more in zip(loads, (some, some // 10)):
            load.wait("usher", more)

        # The door goes to gunicorn, which knows LISTEN_FDS, and comes back.
        gunicorn = popen(peers.wrap(
            [BINARY, "fetch", "web", "--lease", "--", "/usr/bin/gunicorn",
             "--workers=2", "--worker-tmp-dir=/dev/shm",
             "--log-level=warning", f"--chdir={peers.scratch}", "app:app"],
            usher.environment()))
        loads[0].wait("gunicorn", some)
        assert usher.service("web")["endpoints"][0]["state"] == "lent"
        stopped(gunicorn)
        loads[0].wait("usher", some)
        # Open, or full for a moment.
        assert usher.service("web")["endpoints"][0]["state"] != "lent"
        for load, names in zip(loads, ({"nginx", "usher", "gunicorn"},
                                       {"nginx", "usher"})):
            assert set(load.stop()) == names, load.answers
        print([load.answers for load in loads])


main(1000, dose(20000))
