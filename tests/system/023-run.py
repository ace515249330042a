"""usher run: a program served without a file; its options, the section that
they equal, SIGHUP rolls, Ctrl-C drains, a second one does not wait."""
import os
import pwd
import re
import signal
import socket
import subprocess
import tempfile

from harness import (BINARY, DEADLINE, PYTHON, TESTS, Daemon, receive_all,
                     wait_for)

parallel = True
timeout = 120

nobody = pwd.getpwnam("nobody")
AS_NOBODY = ["setpriv", f"--reuid={nobody.pw_uid}",
             f"--regid={nobody.pw_gid}", "--clear-groups"] \
    if os.geteuid() == 0 else []


def running(*words, **how):
    """usher run WORDS, its control socket found where it says."""
    usher = Daemon("", command=[*AS_NOBODY, BINARY, "run", *words],
                   env={"XDG_RUNTIME_DIR": "@DIR@/run"}, **how)
    os.mkdir(f"{usher.dir}/run")
    if AS_NOBODY:
        for path in (usher.dir, f"{usher.dir}/run"):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
    usher.start()
    usher.wait_log("usher run: control socket ")
    usher.control = re.search(r"^usher run: control socket (\S+)$", usher.log,
                              re.M)[1]
    assert usher.control == f"{usher.dir}/run/usher/run-{usher.pid}"
    return usher


class Run:
    """The same as a block."""

    def __init__(self, *words, **how):
        self.words, self.how = words, how

    def __enter__(self):
        self.usher = running(*self.words, **self.how)
        return self.usher

    def __exit__(self, *error):
        return self.usher.__exit__(*error)


def plain(*words):
    done = subprocess.run([BINARY, "run", *words], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=DEADLINE, check=False)
    return done.returncode, done.stdout, done.stderr


# The section that a command line equals.
assert plain("-l", "7000", "--print-config", "--", "cat") == (
    0, "[service cat]\nlisten = tcp:*:7000\nexec = /usr/bin/cat\n", ""), \
    plain("-l", "7000", "--print-config", "--", "cat")
text = plain("-l", "localhost:7000", "-l", "/tmp/x", "--trigger", "fifo:job",
             "--handoff", "pass", "-n", "2-8", "-e", "A=b c", "-e", "D=e",
             "--set", "queue_limit=5", "--print-config", "--",
             "/bin/sh", "-c", "exec cat \"$A\"")[1]
# Handed to check it is right, and means what was said.
done = subprocess.run([BINARY, "check", "-c", "/dev/stdin", "--effective"],
                      input=text, text=True, stdout=subprocess.PIPE,
                      stderr=subprocess.PIPE, check=False, timeout=DEADLINE)
assert done.returncode == 0, (text, done)
for line in ("listen = tcp:localhost:7000", "listen = unix:/tmp/x",
             "trigger = fifo:job", "handoff = pass", "workers = 2-8",
             "queue_limit = 5", 'environment = "A=b c"', "environment = D=e",
             "exec = /bin/sh -c 'exec cat \"$A\"'"):
    assert line in done.stdout.splitlines(), (line, done.stdout)

# Long words are broken where they read back, and only there.
script = "echo " + "x" * 60 + " '# no comment' " + "y" * 60 + " user = z " + \
    "w" * 60
text = plain("-l", "1", "--print-config", "--", "/bin/sh", "-c", script)[1]
done = subprocess.run([BINARY, "check", "-c", "/dev/stdin"], input=text,
                      text=True, capture_output=True, check=False,
                      timeout=DEADLINE)
assert done.returncode == 0 and max(map(len, text.splitlines())) < 100, (
    text, done)
status, out, err = plain("-l", "1", "--print-config", "--", "cat", "x" * 300)
assert (status, out) == (2, "") and "without a blank" in err, (status, out, err)

# Wrong words: usage, or what a file's mistake would say.
assert plain()[0] == 2 and "wants -l ADDRESS" in plain()[2]
assert plain("-l", "7000")[0] == 2
status, _, errors = plain("-l", "tcp:nowhere", "--", "cat")
assert status == 78 and "[service cat] listen" in errors, errors
status, _, errors = plain("-l", "unix:/tmp/x", "--handoff", "pas", "--", "cat")
assert status == 78 and "pass" in errors, errors
status, _, errors = plain("-l", "unix:/tmp/x", "--", "no-such-program")
assert status == 78 and "no-such-program" in errors, errors

# No door could be opened: nothing of it stays.
with socket.create_server(("127.0.0.1", 0)) as holder:
    with tempfile.TemporaryDirectory(prefix="usher-run-") as folder:
        if AS_NOBODY:
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        done = subprocess.run(
            [*AS_NOBODY, BINARY, "run", "-l",
             f"tcp:127.0.0.1:{holder.getsockname()[1]}", "--", "cat"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=DEADLINE, check=False,
            env={**os.environ, "XDG_RUNTIME_DIR": folder})
        assert done.returncode == 1, done
        left = os.listdir(f"{folder}/usher")
        assert not [name for name in left if name.startswith("run-")], left

# A process for each, found on PATH; Ctrl-C lets who is there finish.
with Run("-l", "@DIR@/door", "-e", "WORD=ahoy", "--", "sh", "-c",
         "echo $WORD; cat") as usher:
    client = usher.client("unix:@DIR@/door")
    assert client.recv(10) == b"ahoy\n"
    usher.signal(signal.SIGINT)
    usher.wait_log("SIGINT: draining")
    client.sendall(b"still here")
    assert client.recv(20) == b"still here"
    assert not usher.exited()
    client.close()
    assert usher.wait_exit() == 0
    assert not os.path.exists(usher.control)

# A second Ctrl-C does not wait for anybody.
with Run("-l", "@DIR@/door", "--", "cat") as usher:
    with usher.client("unix:@DIR@/door") as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        usher.signal(signal.SIGINT)
        usher.wait_log("SIGINT: draining")
        usher.signal(signal.SIGINT)
        assert usher.wait_exit() == 0
        usher.wait_log("SIGINT: stopping at once")
        try:
            assert client.recv(1) == b""
        except ConnectionResetError:
            pass

# Workers behind a queue, a trigger beside; SIGHUP brings new ones.
with Run("-l", "127.0.0.1:@PORT@", "--handoff", "pass", "-n", "2-3",
         "--trigger", "unix:@DIR@/trigger", "--set", "settle=0", "--",
         os.path.basename(PYTHON), f"{TESTS}/pass_worker.py", "hello",
         "@DIR@/ran") as usher:
    def generation():
        with usher.client(f"tcp:127.0.0.1:{usher.port()}") as client:
            return receive_all(client).split()[1]
    assert generation() == b"1"
    old = set(usher.workers("python3"))
    assert len(old) == 2, old
    usher.signal(signal.SIGHUP)
    wait_for(lambda: generation() == b"2")
    wait_for(lambda: not old & set(usher.workers("python3")))
    usher.run("trigger", "unix:@DIR@/trigger", "books")

    def ran():
        with open(f"{usher.dir}/ran", encoding="utf-8") as file:
            return file.read() == "books\n"
    wait_for(ran)
    assert "1 service" in usher.run("--control", usher.control,
                                    "status").stdout

# Another protocol: the connection is the program's descriptor 3.
with Run("-l", "@DIR@/door", "--protocol", "systemd", "--", "sh", "-c",
         "echo $LISTEN_FDS $LISTEN_FDNAMES $LISTEN_PID $$ >&3") as usher:
    with usher.client("unix:@DIR@/door") as client:
        words = receive_all(client).split()
    assert words[:2] == [b"1", b"connection"] and words[2] == words[3], words
