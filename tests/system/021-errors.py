"""The errors that cost a user one look: each in full, from check or from the
daemon's log."""
import os
import pwd
import subprocess
import tempfile

from harness import BINARY, DEADLINE, PYTHON, Daemon, popen, stopped, wait_for

parallel = True

directory = tempfile.TemporaryDirectory(prefix="usher-errors-")
DIR = directory.name
FILE = os.path.join(DIR, "shop.ini")
SECTION = "[service shop]\nlisten = unix:/tmp/shop\nexec = /bin/cat\n"


def usher(*words, as_user=None):
    how = {}
    if as_user:
        how = {"user": as_user.pw_uid, "group": as_user.pw_gid,
               "extra_groups": []}
    done = subprocess.run([BINARY, *words], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False,
                          timeout=DEADLINE, **how,
                          env={**os.environ, "PATH": DIR,
                               "ASAN_OPTIONS": "detect_leaks=0"})
    return done.returncode, done.stderr.splitlines()


def check(text, **how):
    with open(FILE, "w", encoding="utf-8") as file:
        file.write(text)
    return usher("check", "-c", FILE, **how)


def one_mistake(text, line):
    """TEXT has one mistake, which check tells in LINE, the daemon too."""
    assert check(text) == (1, [line, f"{FILE}: 1 mistake"]), check(text)
    status, errors = usher("serve", "-c", FILE)
    assert (status, errors) == (78, [f"usher: error: {line}"]), errors


os.chmod(DIR, 0o755)
gunicorn = os.path.join(DIR, "gunicorn")
with open(gunicorn, "w", encoding="ascii") as file:
    file.write("#!/bin/sh\n")
os.chmod(gunicorn, 0o755)

one_mistake(SECTION + "max_per_source 10\n",
            f"{FILE}:4: [service shop] max_per_source: there is no '=' in "
            "this line; write 'max_per_source = 10'")
one_mistake(SECTION.replace("/bin/cat", "gunicorn shop:app"),
            f"{FILE}:3: [service shop] exec: 'gunicorn' has no path; "
            f"{gunicorn} is on PATH; the program and its arguments")
one_mistake(SECTION.replace("/bin/cat", "no-such-program"),
            f"{FILE}:3: [service shop] exec: 'no-such-program' has no absolute "
            "path, and nothing of that name is on PATH; the program and its "
            "arguments")
one_mistake(SECTION + "user = no-such-user\n",
            f"{FILE}:4: [service shop] user: unknown user 'no-such-user'; "
            "getent passwd lists them")
one_mistake(SECTION + "queue_limit = 5\n",
            f"{FILE}:4: [service shop] queue_limit: cannot act here: under "
            "handoff = spawn; it acts in: pass")
one_mistake(SECTION + "usr = root\n",
            f"{FILE}:4: [service shop] usr: unknown key; did you mean user?")

# A port without the right to it: a note when checked, an error when opened.
if os.geteuid() == 0:
    nobody = pwd.getpwnam("nobody")
    low = SECTION.replace("unix:/tmp/shop", "tcp:127.0.0.1:79") + \
        f"[usher]\ncontrol = unix:{DIR}/run/control\n" \
        f"spool = {DIR}/run/spool\nkeeper = no\nlog = stderr\n"
    os.mkdir(f"{DIR}/run", 0o700)
    os.chown(f"{DIR}/run", nobody.pw_uid, nobody.pw_gid)
    note = f"{FILE}:2: [service shop] listen: port 79 needs the right " \
        "CAP_NET_BIND_SERVICE, which this process has not; under systemd " \
        "the drop-in ports-below-1024.conf gives it"
    assert check(low, as_user=nobody) == (0, [f"note: {note}"])
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start",
              encoding="ascii") as file:
        if int(file.read()) > 79:
            status, errors = usher("serve", "-c", FILE, as_user=nobody)
            assert (status, errors) == (1, [
                f"usher: notice: {note}",
                "usher: error: shop: tcp:127.0.0.1:79: no right to bind a "
                "port below 1024; the drop-in ports-below-1024.conf gives "
                "usher CAP_NET_BIND_SERVICE",
                "usher: error: no door could be opened"]), errors

# A worker that exits at once, with its last line; beside it a port that is
# held by a program: who holds it, and the cure.
HOLDER = """
import socket, sys, time
held = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("held", flush=True)
time.sleep(600)
"""
CONF = """
[service hasty]
listen = unix:@DIR@/hasty
exec = /bin/sh -c 'echo database: no route to host >&2; exit 3'
handoff = pass

[service good]
listen = unix:@DIR@/good
exec = /bin/echo hello

[service finger]
listen = tcp:127.0.0.1:@PORT@
exec = /bin/cat
"""
daemon = Daemon(CONF, fds=False)
holder = popen([PYTHON, "-c", HOLDER, str(daemon.port())],
               stdout=subprocess.PIPE, text=True)
assert holder.stdout.readline() == "held\n"
holder.stdout.close()
with open(f"/proc/{holder.pid}/comm", encoding="utf-8") as file:
    comm = file.read().strip()
with daemon:
    daemon.wait_state("hasty", "degraded")
    door = f"tcp:127.0.0.1:{daemon.port()}"
    told = f"usher: error: finger: {door} is held by {comm} (pid " \
        f"{holder.pid}); 'usher adopt finger --pid {holder.pid} --listen " \
        f"{door}' takes it without closing"
    assert told in daemon.log.splitlines(), (told, daemon.log)
    assert daemon.log.count("is held by") == 1, daemon.log
    last = "usher: error: hasty: a worker exited with status 3; its last " \
        "line: database: no route to host"
    wait_for(lambda: last in daemon.log.splitlines(), what=last)
    first = daemon.run("status").stdout.splitlines()[0]
    assert first.startswith("3 services, 2 degraded: "), first
    with daemon.client("good") as client:
        assert client.recv(10) == b"hello\n"
    # The cure that it names, as it is written.
    if os.geteuid() == 0:
        cure = told.split("'")[1].split()
        daemon.run(*cure[1:])
        stopped(holder)
        with daemon.client("finger") as client:
            client.sendall(b"mine")
            assert client.recv(10) == b"mine"
        daemon.wait_state("finger", "running")
stopped(holder)
