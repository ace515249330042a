"""What a process that usher starts finds: no descriptor but those named, an
environment from a white list, default signals, its own session, no terminal;
the rights of its user, with no way back; and it goes first when memory ends."""
import json
import os
import pwd
import signal

from harness import Daemon, receive_all, wait_for

plain = True
timeout = 120

LOOK = r'''
import json, os, signal, socket, sys
fds = {}
for fd in os.listdir("/proc/self/fd"):
    try:
        fds[fd] = os.readlink("/proc/self/fd/" + fd).partition(":")[0]
    except OSError:
        pass
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
def cannot(call, *words):
    try:
        call(*words)
    except OSError:
        return True
    return False
answer = {
    "fds": fds, "env": dict(os.environ), "pid": os.getpid(),
    "sid": os.getsid(0), "blocked": int(status["SigBlk"], 16),
    "ignored": int(status["SigIgn"], 16),
    "terminal": os.path.exists("/dev/tty") and not cannot(open, "/dev/tty"),
    "ids": [os.getresuid(), os.getresgid(), os.getgroups()],
    "new_privs": int(status["NoNewPrivs"]),
    "stuck": cannot(os.setuid, 0) and cannot(os.setgid, 0),
    "oom": int(open("/proc/self/oom_score_adj").read()),
    "cwd": os.getcwd(), "umask": os.umask(0),
}
data = json.dumps(answer).encode()
where = int(sys.argv[1])
if where < 0:
    door = socket.socket(fileno=int(os.environ["USHER_FD"]))
    while True:
        words, fds, _, _ = socket.recv_fds(door, 65536, 1)
        if not words:
            break
        with socket.socket(fileno=fds[0]) as client:
            client.sendall(data)
else:
    os.set_blocking(where, True)
    os.write(where, data)
'''

CONF = """
[service inetd]
listen = tcp:127.0.0.1:@PORT@
exec = /usr/bin/python3 -I @DIR@/look.py 1
environment = GIVEN="two words"
pass_environment = WANTED
umask = 027
directory = /

[service unix]
listen = unix:@DIR@/unix
exec = /usr/bin/python3 -I @DIR@/look.py 1
output = connection

[service systemd]
listen = tcp:127.0.0.1:@PORT:systemd@
exec = /usr/bin/python3 -I @DIR@/look.py 3
protocol = systemd
oom_score_adjust = 321

[service pass]
listen = unix:@DIR@/pass
exec = /usr/bin/python3 -I @DIR@/look.py -1
handoff = pass

[service user]
listen = unix:@DIR@/user
exec = /usr/bin/python3 -I @DIR@/look.py 1
@USER@
"""

ALWAYS = {"PATH", "LANG", "TZ", "LC_CTYPE", "USHER_SERVICE",
          "USHER_GENERATION"}
TCP = {"PROTO", "TCPREMOTEIP", "TCPREMOTEPORT", "TCPLOCALIP", "TCPLOCALPORT",
       "REMOTE_ADDR", "REMOTE_PORT", "SO_COOKIE"}
UNIX = {"PROTO", "UNIXREMOTEPID", "UNIXREMOTEEUID", "UNIXREMOTEEGID",
        "UNIXLOCALPATH", "SO_COOKIE"}

AS_ROOT = os.geteuid() == 0
nobody = pwd.getpwnam("nobody")
usher = Daemon(CONF.replace("@USER@", "user = nobody\nno_new_privileges = yes"
                            if AS_ROOT else ""),
               env={"WANTED": "yes", "SECRET": "no", "LD_LIBRARY_PATH": "/x",
                    "LISTEN_FDS": "0", "LISTEN_PID": "1",
                    "WATCHDOG_USEC": "60000000", "JOURNAL_STREAM": "1:2",
                    "INVOCATION_ID": "x", "CREDENTIALS_DIRECTORY": "/x"})
with open(f"{usher.dir}/look.py", "w", encoding="utf-8") as file:
    file.write(LOOK)


def ask(service):
    with usher.client(service) as client:
        peer = client.getsockname()
        answer = json.loads(receive_all(client))
    return answer, peer


def oom_of(pid):
    with open(f"/proc/{pid}/oom_score_adj", encoding="ascii") as file:
        return int(file.read())


# Numbers that a careless start would hand on.
junk = [os.open("/dev/null", os.O_RDONLY) for _ in range(20)]
for fd in junk:
    os.set_inheritable(fd, True)
with usher:
    # A connection beside it, and one more of another service.
    for name, fds, words in (
            ("inetd", {"0": "socket", "1": "socket", "2": "pipe"},
             TCP | {"GIVEN", "WANTED"}),
            ("unix", {"0": "socket", "1": "socket", "2": "socket"}, UNIX),
            ("systemd", {"0": "/dev/null", "1": "pipe", "2": "pipe",
                         "3": "socket"},
             TCP | {"LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID"}),
            ("pass", {"0": "/dev/null", "1": "pipe", "2": "pipe",
                      "3": "socket"},
             {"USHER_FD", "NOTIFY_SOCKET"}),
            ("user", {"0": "socket", "1": "socket", "2": "pipe"},
             UNIX | ({"HOME", "USER", "LOGNAME", "SHELL"} if AS_ROOT
                     else set()))):
        with usher.client("inetd"):
            found, peer = ask(name)
        assert found["fds"] == fds, (name, found["fds"])
        env = found["env"]
        assert set(env) - ALWAYS == words, (name, set(env) - ALWAYS ^ words)
        assert env["USHER_SERVICE"] == name, env
        # Python itself ignores these two; SIGPIPE is looked at below.
        pythons = 1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1
        assert (found["blocked"], found["ignored"] & ~pythons) == (0, 0), found
        assert found["sid"] == found["pid"], (name, found)
        assert not found["terminal"], name
        # When memory ends a worker goes first.
        if AS_ROOT:
            mine = oom_of(os.getpid())
            assert oom_of(usher.pid) == mine
            assert found["oom"] == (321 if name == "systemd"
                                    else min(mine + 100, 1000)), found["oom"]
        if name == "inetd":
            assert env["GIVEN"] == "two words" and env["WANTED"] == "yes", env
            assert env["TCPREMOTEPORT"] == str(peer[1]), (env, peer)
            assert env["TCPLOCALPORT"] == str(usher.port()), env
            assert env["TCPREMOTEIP"] == env["REMOTE_ADDR"] == "127.0.0.1"
            assert (found["umask"], found["cwd"]) == (0o27, "/"), found
        if name == "unix":
            assert env["PROTO"] == "UNIX", env
            assert env["UNIXREMOTEPID"] == str(os.getpid()), env
            assert env["UNIXLOCALPATH"] == f"{usher.dir}/unix", env
        if name == "systemd":
            assert env["LISTEN_PID"] == str(found["pid"]), (env, found)
            assert env["LISTEN_FDS"] == "1", env
        if name == "user" and AS_ROOT:
            uid, gid = nobody.pw_uid, nobody.pw_gid
            assert found["ids"] == [[uid] * 3, [gid] * 3, [gid]], found["ids"]
            assert found["stuck"] and found["new_privs"] == 1, found
            assert env["USER"] == "nobody", env
for fd in junk:
    os.close(fd)

# SIGPIPE ends a program that nobody listens to, as it is used to.
PIPE = """
[service yes]
listen = unix:@DIR@/yes
exec = /usr/bin/yes
"""
with Daemon(PIPE) as usher:
    with usher.client("yes") as client:
        assert client.recv(2) == b"y\n"
    wait_for(lambda: not usher.workers("yes"), what="yes dying of SIGPIPE")

# A file of variables may be its user's: what is none, or has no end, neither
# holds usher up nor is read.
FILES = """
[service env]
listen = unix:@DIR@/env
exec = /usr/bin/printenv FOUND
environment_file = @DIR@/variables
"""
usher = Daemon(FILES)
path = f"{usher.dir}/variables"
with open(path, "w", encoding="ascii") as file:
    file.write("FOUND=it\n")


def ask():
    with usher.client("env") as client:
        return receive_all(client)


def refused(why):
    assert ask() == b""
    assert why in usher.service("env")["reason"], usher.service("env")
    os.unlink(path)


with usher:
    assert ask() == b"it\n"
    os.unlink(path)
    os.mkfifo(path)
    refused("Invalid argument")
    os.symlink("/dev/zero", path)
    refused("Invalid argument")
    with open(path, "w", encoding="ascii") as file:
        file.truncate(1 << 40)
    refused("File too large")
    with open(path, "w", encoding="ascii") as file:
        file.write("FOUND=again\n")
    assert ask() == b"again\n"
    assert usher.service("env")["state"] == "running"
