"""Every client command once: what it prints, the exit status it promises, its
help and its place in the completion; trigger --wait ends as the run does."""
import json
import re
import subprocess

from harness import BINARY, Daemon, wait_for

CONF = """
[service hello]
listen = tcp:127.0.0.1:@PORT@
exec = /bin/cat

[service job]
exec = /bin/sh -c 'read word; exit "$word"'
trigger = unix:@DIR@/trigger

[service killed]
exec = /bin/sh -c 'kill -9 $$'
trigger = unix:@DIR@/killed

[service slow]
exec = /bin/sleep 60
trigger = unix:@DIR@/slow
stop_timeout = 1s

[service broken]
listen = unix:@DIR@/broken
exec = /bin/false
handoff = pass
"""


def words(*more):
    return subprocess.run([BINARY, "--words", *more], check=True, text=True,
                          stdout=subprocess.PIPE).stdout.split("\n")[:-1]


def out(*command, status=0):
    return usher.run(*command, status=status).stdout


with Daemon(CONF, fds=False) as usher:
    usher.wait_state("broken", "degraded")

    # Status: first line, order, 80 columns.
    lines = out("status").splitlines()
    assert re.match(r"5 services, 1 degraded: broken: ", lines[0]), lines[0]
    assert lines[1].split() == ["SERVICE", "STATE", "GEN", "WORKERS",
                                "QUEUE", "CONN/S", "REFUSED", "SINCE"], lines
    assert lines[2].split()[:2] == ["broken", "degraded"], lines
    assert all(len(line) <= 80 for line in lines[1:]), lines
    assert json.loads(out("status", "--json"))["pid"] == usher.pid
    assert out("--json", "status", "hello").startswith("{")
    out("status", "--check", status=1)
    out("status", "hello", "--check")
    out("status", "broken", "--check", status=1)
    assert "accept to hand-off" not in out("status", "hello")
    with usher.client("hello") as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        assert "accept to hand-off: half below" in out("status", "hello")
        conns = out("conns").splitlines()
        assert conns[0] == "1 connection" and "127.0.0.1" in conns[2], conns
        assert out("conns", "--from", "10.0.0.0/8") == "0 connections\n"
        cookie = conns[2].split()[0]
        assert out("kill", f"conn:{cookie}") == f"conn:{cookie}: 1 ended\n"
        assert client.recv(1) == b""
    usher.run("kill", "conn:1", status=1)
    usher.run("kill", "nonsense", status=1)

    # What acts, each with its line.
    assert out("pause", "hello") == "hello: paused, arrivals wait in the " \
        "kernel\n"
    out("reload", "--wait")
    assert usher.service("hello")["state"] == "paused"      # outlives it
    assert out("resume", "hello") == "hello: accepts again\n"
    assert "empty after" in out("drain", "hello", "--wait")
    assert usher.service("hello")["state"] == "draining"
    out("resume", "hello")
    out("scale", "job", "2")
    assert usher.service("job")["workers_max"] == 2
    usher.run("scale", "job", "x", status=1)
    # Wrong words: one line of ours in each command, which says which.
    for given, told in (
            (("status", "--nope"), "usher status: no option '--nope'; see "
             "usher status --help\n"),
            (("serve", "--nope"), "usher serve: no option '--nope'; see usher "
             "serve --help\n"),
            (("check", "-x"), "usher check: no option '-x'; see usher check "
             "--help\n"),
            (("run", "--nope"), "usher run: no option '--nope'; see usher run "
             "--help\n"),
            (("demo", "-x"), "usher demo: no option '-x'; see usher demo "
             "--help\n"),
            (("connect", "--timeout"), "usher connect: --timeout needs a "
             "value; see usher connect --help\n"),
            (("conns", "--from"), "usher conns: --from needs a value; see "
             "usher conns --help\n")):
        assert usher.run(*given, status=2).stderr == told, given
    for given, which in ((("scale",), "SERVICE"), (("explain", "x"), "FROM"),
                         (("scale", "job"), "N|MIN-MAX"),
                         (("fetch", "x"), "PROGRAM...")):
        told = usher.run(*given, status=2).stderr
        assert f": {which} is missing\n" in told, told
    assert out("fetch", "--help").startswith(
        "usage: usher fetch [OPTION]... NAME|SERVICE -- PROGRAM...\n")
    assert "or as NAME=VALUE" in usher.call_line("pause a b c")
    assert "NAME=VALUE" in usher.call_line("help")
    # What the file may not say, scale may not either, in the same words.
    assert "[service hello] workers: cannot act here: this service takes " \
        "connections, not triggers; it acts in: " in usher.run(
            "scale", "hello", "3", status=1).stderr
    assert out("check", "--diff", "--control", usher.control) == (
        f"{usher.file}, which the daemon reads:\nnothing changes\n")
    with open(f"{usher.dir}/other.ini", "w", encoding="utf-8") as file:
        file.write(usher.conf + "\n[service more]\nlisten = "
                   f"unix:{usher.dir}/more\nbuiltin = echo\n")
    assert out("check", "-c", f"{usher.dir}/other.ini", "--diff").endswith(
        f"{usher.dir}/other.ini, beside what the daemon runs:\n"
        "more: opens\n")
    # What this process can't follow is said beforehand and afterwards.
    before = usher.conf
    usher.write(before.replace("[usher]\n", "[usher]\nkeeper = respawn\n"
                                   "resolve_every = 9s\n", 1))
    assert "\nusher: changes resolve_every; at once\nusher: changes keeper; " \
        "when it is started or upgraded next\n" in out("check", "--diff")
    assert out("reload") == \
        "reloaded; keeper: when usher is started or upgraded next\n"
    usher.write(before)
    out("reload", "--wait")
    assert out("roll", "hello", "--wait").startswith("hello: generation ")
    out("restart", "hello")
    assert out("loglevel", "debug") == "log level debug\n"
    out("reload")
    usher.wait_log("debug: ")
    out("loglevel", "info")
    assert out("show", "hello").startswith("[service hello]\n")
    assert out("metrics").endswith("# EOF\n")
    page = usher.run("metrics", "--http",
                     stdin="GET /metrics HTTP/1.1\r\n\r\n").stdout
    assert page.startswith("HTTP/1.1 200 OK\n") and "# EOF" in page, page
    assert usher.run("metrics", "--http", stdin="GET /x HTTP/1.1\r\n\r\n"
                     ).stdout.startswith("HTTP/1.1 404")

    # A file with mistakes changes nothing, all are told.
    good = usher.conf
    usher.write(CONF + "[service bad]\nlisten = nonsense\nexek = /bin/cat\n")
    done = usher.run("reload", status=1)
    assert len(re.findall(r"usher\.ini:\d+:", done.stderr)) >= 2, done
    assert usher.error("Reload") == "org.usher.InvalidConfig"
    usher.write(CONF)
    assert good == usher.conf

    # trigger: taken; and as the run ends.
    assert out("trigger", "job", "0") == "job: taken, a run follows\n"
    for number in (0, 3, 77):
        out("trigger", "job", str(number), "--wait", status=number)
    out("trigger", "killed", "--wait", status=128 + 9)
    out("trigger", "slow", "--wait", "--timeout", "300ms", status=124)
    usher.run("trigger", "nobody", "--wait", status=125)
    usher.run("trigger", "hello", status=1)
    usher.run("trigger", f"unix:{usher.dir}/trigger", "0")
    usher.run("trigger", f"unix:{usher.dir}/trigger", "--wait", status=2)
    pid = wait_for(lambda: usher.service("slow")["workers"])[0]["pid"]
    assert out("kill", f"worker:{pid}") == f"worker:{pid}: 1 ended\n"

    # Exit statuses.
    usher.run("pause", status=2)
    usher.run("pause", "a", "b", status=2)
    usher.run("pause", "--nonsense", "a", status=2)
    usher.run("pause", "nobody", status=1)
    usher.run("nonsense", status=2)
    usher.run("top", status=2)          # no terminal
    done = usher.run("status", "--control", "/nonexistent", status=3)
    assert "connect: No such file or directory; no usher serves there" in \
        done.stderr and done.stderr.count("\n") == 1, done

    # Help and completion know what the command knows.
    commands = words()
    assert len(commands) == len(set(commands)) > 25
    told = re.findall(r"^  (\S+)", out("--help"), re.M)
    assert set(told) == set(commands), told
    assert "(null)" not in out("--help")
    for command in commands:
        text = usher.run(command, "--help").stdout
        assert len(text.splitlines()) <= 23 and \
            max(map(len, text.splitlines())) < 80, text
        listed = {word.rstrip("=") for word in words(command)
                  if re.match(r"--[a-z]", word)}
        told = set(re.findall(r"(--[a-z][a-z-]+)", text)) - {"--help"}
        # Those that read their own words may tell of them more briefly.
        assert told <= listed, (command, told - listed)
        if "--json" in listed:
            assert listed <= told | {"--help"}, (command, listed - told)

    assert out("shutdown") == "stopped: doors closed, nothing is left\n"
    usher.wait_exit()
