"""Who may do what: a second uid, a member of a supplementary group only, one
who has no level, trigger_allow and inject_allow; each refusal names the level
that is needed, and is logged with uid and pid."""
import json
import os
import socket

from harness import CallError, Control, Daemon, cannot

root = True

if os.geteuid() != 0:
    cannot("needs root: it becomes other users")

CONF = """
[usher]
control_allow = user:@OPERATOR@ operate
control_allow = group:@GROUP@ admin
control_allow = user:@NOBODY@ none
control_allow = user:@RUNNER@ none

[service hello]
listen = unix:@DIR@/hello
exec = /bin/cat
inject_allow = user:@RUNNER@

[service job]
exec = /bin/true
trigger = unix:@DIR@/trigger
trigger_allow = user:@RUNNER@
"""
READER, OPERATOR, MEMBER, NOBODY, RUNNER, GROUP = range(54321, 54327)
NAMES = {"OPERATOR": OPERATOR, "NOBODY": NOBODY, "RUNNER": RUNNER,
         "GROUP": GROUP}
for name, value in NAMES.items():
    CONF = CONF.replace(f"@{name}@", str(value))

READ = [("Status", {}), ("Show", {"service": "hello"}), ("Connections", {}),
        ("Explain", {"service": "hello", "from": "uid:1"}),
        ("ListStore", {}), ("GetMetrics", {})]
OPERATE = [("Pause", {"service": "hello"}), ("Resume", {"service": "hello"}),
           ("Trigger", {"service": "job"}),
           ("Roll", {"service": "hello"})]
ADMIN = [("SetLogLevel", {"level": "info"}), ("Reload", {})]


def as_user(uid, groups, calls):
    """Calls by a process with these credentials: name to error or None."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setgroups(groups)
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            answers = []
            for method, parameters, fds in calls:
                answers.append(answer(method, parameters, fds))
            os.write(write, json.dumps(answers).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read) as file:
        text = file.read()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    return json.loads(text)


def answer(method, parameters, fds):
    ends = []
    with Control(usher.control) as control:
        for _ in range(fds):
            ends += socket.socketpair()
        try:
            control.send(method, [e.fileno() for e in ends[:fds]],
                         **parameters)
            control.reply()
        except CallError as error:
            return [error.name.rpartition(".")[2],
                    error.parameters.get("level")]
        except (BrokenPipeError, ConnectionError):
            return ["closed", None]
    return [None, None]


def rights(uid, groups=()):
    """Which of read, operate, admin are granted; all or nothing each."""
    found = []
    for level, calls in (("read", READ), ("operate", OPERATE),
                         ("admin", ADMIN)):
        answers = as_user(uid, list(groups), [(*c, 0) for c in calls])
        granted = {a[0] is None for a in answers}
        assert len(granted) == 1, (uid, level, answers)
        for name, needed in answers:
            if name:
                assert (name, needed) == ("PermissionDenied", level), \
                    (uid, level, answers)
        if granted == {True}:
            found.append(level)
    return found


with Daemon(CONF) as usher:
    os.chmod(usher.dir, 0o755)
    assert rights(READER) == ["read"]
    assert rights(OPERATOR) == ["read", "operate"]
    assert rights(MEMBER) == ["read"]
    assert rights(MEMBER, [100, GROUP]) == ["read", "operate", "admin"]

    # Nothing of one without a level is read, save what a service allows.
    quiet = usher.log.count("refused")
    for method, parameters in READ + OPERATE + ADMIN:
        found = as_user(NOBODY, [], [(method, parameters, 0)])[0]
        assert found[0] in ("PermissionDenied", "closed"), (method, found)
    assert usher.log.count("refused") > quiet
    usher.wait_log(rf"uid {NOBODY} pid \d+ .*refused.*is needed|"
                   rf"refused to uid {NOBODY} pid \d+")

    answers = as_user(RUNNER, [], [
        ("Trigger", {"service": "job", "wait": True}, 0),
        ("Trigger", {"service": "hello"}, 0),
        ("Inject", {"service": "hello"}, 1),
        ("Inject", {"service": "job"}, 1),
        ("Status", {}, 0),
        ("Pause", {"service": "job"}, 0)])
    assert [a[0] for a in answers] == [
        None, "PermissionDenied", None, "PermissionDenied",
        "PermissionDenied", "PermissionDenied"], answers
    usher.wait_log(rf"control: pause refused to uid {RUNNER} pid \d+: its "
                   "level is none, operate is needed")
    usher.wait_log(rf"control: pause .*hello.* by uid {OPERATOR} pid \d+")

    # The client command says it in a line and ends with 4.
    done = usher.run("status")
    for uid, status in ((NOBODY, 4), (READER, 4), (OPERATOR, 0)):
        pid = os.fork()
        if pid == 0:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            with open(os.devnull, "w", encoding="ascii") as null:
                os.dup2(null.fileno(), 1)
                os.dup2(null.fileno(), 2)
            os.environ["USHER_CONTROL"] = usher.control
            os.environ["ASAN_OPTIONS"] = "detect_leaks=0"
            from harness import BINARY
            os.execv(BINARY, [BINARY, "pause", "hello"])
        found = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert found == status, (uid, found)
