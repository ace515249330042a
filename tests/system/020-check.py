"""usher check: every mistake in one go, with file and line and what would do;
what is in force; and the daemon refuses what check refuses."""
import os
import subprocess
import tempfile

from harness import BINARY, DEADLINE

parallel = True
plain = True

directory = tempfile.TemporaryDirectory(prefix="usher-check-")
DIR = directory.name


def write(name, text):
    path = os.path.join(DIR, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


def usher(*words, **environment):
    done = subprocess.run([BINARY, *words], capture_output=True, text=True,
                          timeout=DEADLINE, check=False,
                          env={**os.environ, **environment})
    return done.returncode, done.stdout, done.stderr


def check(path, *words, **environment):
    return usher("check", "-c", path, *words, **environment)


# A right one: one line, on standard output.
main = write("main.ini", """[usher]
include = conf.d/*.ini

[defaults]
idle_timeout = 1min

[service echo]
listen = tcp:127.0.0.1:7777
builtin = echo
""")
assert check(main) == (
    0, f"{main}: 1 service, no mistake, 1 note\n",
    f"note: {main}:5: [defaults] idle_timeout: does not act in echo: a "
    "builtin starts no program and takes no triggers; it acts in: pass, "
    "share, exec with relay\n"), check(main)

# What is in force reads back as the same.
status, effective, _ = check(main, "--effective")
assert status == 0
assert "\nsource_prefix6 = 64\n" in effective, effective
again = write("again.ini", effective)
assert check(again, "--effective") == (
    0, effective, f"{again}: 1 service, no mistake\n")

# The errors that sell usher, each with its full text.
bin_dir = os.path.join(DIR, "bin")
gunicorn = write("bin/gunicorn", "#!/bin/sh\n")
os.chmod(gunicorn, 0o755)
wrong = write("conf.d/shop.ini", """[service shop]
listen tcp:*:8080
exec = gunicorn shop:app
handoff = share
user = no-such-user
settle = 30

[service other]
listen = unix:/tmp/other
exec = /bin/sh
handoff = share
max_connections = 10

[service third]
listen = unix:/tmp/third
exec = /bin/sh
user = no-such-user
""")
status, out, errors = check(main, PATH=bin_dir)
assert (status, out) == (1, ""), (status, out)
assert errors.splitlines() == [
    f"{wrong}:2: [service shop] listen: there is no '=' in this line; write "
    "'listen = tcp:*:8080'",
    f"{wrong}:3: [service shop] exec: 'gunicorn' has no path; {gunicorn} is "
    "on PATH; the program and its arguments",
    f"{wrong}:5: [service shop] user: unknown user 'no-such-user'; getent "
    "passwd lists them",
    f"{wrong}:6: [service shop] settle: '30' has no unit; write 30s, 30ms, "
    "30min, 30h or 30d; how long new workers must live before the old go",
    f"{wrong}:12: [service other] max_connections: cannot act here: under "
    "handoff = share the workers accept themselves and usher sees no "
    "connection; it acts in: spawn with listen, pass with reports = yes, "
    "relay, exec with relay, builtin",
    f"{wrong}:17: [service third] user: unknown user 'no-such-user'; getent "
    "passwd lists them",
    f"note: {main}:5: [defaults] idle_timeout: does not act in echo, third: a "
    "builtin starts no program and takes no triggers; it acts in: pass, "
    "share, exec with relay",
    f"{main}: 6 mistakes",
], errors

# No mistake hides another, whatever its kind: a value, a quote, a user beside
# a group, an owner, a directory, a file, a door given twice.
many = write("many.ini", f"""[service a]
listen = unix:{DIR}/a owner=nobdy group=nogrp
exec = "/bin/cat
user = nobdy
group = nogrp
directory = {DIR}/nowhere
environment_file = {DIR}/lost.env
environment_file = -{DIR}/may-be-lost.env
umask = 99

[service b]
listen = unix:{DIR}/a
exec = {DIR}/nothing
max_connections = x
""")
status, out, errors = check(many)
assert (status, out) == (1, ""), (status, out)
for line, text in (
        (2, "[service a] listen: unknown user 'nobdy' in "),
        (2, "[service a] listen: unknown group 'nogrp' in "),
        (3, "[service a] exec: a quote without its end"),
        (4, "[service a] user: unknown user 'nobdy'"),
        (5, "[service a] group: unknown group 'nogrp'"),
        (6, f"[service a] directory: {DIR}/nowhere: No such file"),
        (7, f"[service a] environment_file: {DIR}/lost.env: No such file"),
        (9, "[service a] umask: "),
        (12, f"[service b] listen: unix:{DIR}/a is a door of service a too"),
        (13, f"[service b] exec: {DIR}/nothing: No such file"),
        (14, "[service b] max_connections: ")):
    assert f"{many}:{line}: {text}" in errors, (line, text, errors)
assert errors.endswith(f"{many}: 11 mistakes\n"), errors

# Doors that can't both be opened, by what their names stand for.
for first, second, fit in (
        ("tcp:*:7001", "tcp:127.0.0.1:7001", False),
        ("tcp:127.0.0.1:7001", "tcp:*:7001", False),
        ("tcp4:*:7001", "tcp:*:7001", False),
        ("tcp:localhost:7001", "tcp:127.0.0.1:7001", False),
        ("tcp:127.0.0.1:http", "tcp:127.0.0.1:80", False),
        ("tcp:[::1]:7001", "tcp6:*:7001", False),
        ("tcp6:*:7001 v6only=yes", "tcp4:*:7001", True),
        ("tcp:127.0.0.1:7001", "tcp:127.0.0.2:7001", True),
        ("tcp:127.0.0.1:7001", "tcp:127.0.0.1:7002", True),
        ("tcp:*:7001 interface=lo", "tcp:127.0.0.1:7001", True),
        ("tcp:127.0.0.1:0", "tcp4:127.0.0.1:0", True)):
    pair = write("pair.ini", f"""[service a]
listen = {first}
builtin = echo
[service b]
listen = {second}
builtin = echo
""")
    status, out, errors = check(pair)
    assert status == (0 if fit else 1), (first, second, errors)
    assert fit or errors.startswith(
        f"{pair}:5: [service b] listen: {second}: no room beside {first}, a "
        f"door of service a ({pair}:2); of two that overlap one must go"), \
        errors

# What another program writes, at its own pace.
slow = subprocess.run(["sh", "-c", "(sleep 0.2; cat \"$1\") | \"$0\" check -c "
                       "/dev/stdin", BINARY, again], capture_output=True,
                      text=True, timeout=DEADLINE, check=False)
assert slow.stdout == "/dev/stdin: 1 service, no mistake\n", slow

# At most a hundred of them are told, and all are counted.
lots = write("lots.ini", "[usher]\n" + "nonsense = 1\n" * 250)
status, _, errors = check(lots)
assert errors.splitlines()[99:] == [
    f"{lots}:101: [usher] nonsense: unknown key; usher.ini(5) lists them",
    "and 150 more", f"{lots}: 250 mistakes"], errors.splitlines()[99:]

# The daemon says the same, and that the configuration is wrong.
status, _, errors = usher("serve", "-c", main)
assert status == 78, (status, errors)
assert f"{wrong}:2: [service shop] listen: there is no '='" in errors, errors
status, _, errors = usher("serve", "-c", os.path.join(DIR, "none.ini"))
assert status == 78 and "none.ini: cannot be read: No such file" in errors, \
    (status, errors)

# Usage.
assert usher("check", "--nonsense")[0] == 2
status, _, errors = usher("check", main)
assert status == 2 and "a file is named with -c" in errors, errors
status, _, errors = check(os.path.join(DIR, "none.ini"))
assert status == 1 and errors.splitlines()[-1].endswith(": 1 mistake"), errors
