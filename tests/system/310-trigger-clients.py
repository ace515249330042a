"""Trigger clients nobody here wrote: socat, logger, printf in a shell; and a
clock that steps by days under usher changes nothing."""
from harness import Daemon, wait_for
from lab import Root
from trigger_lib import lines

group = "peers"
roots = ["peers"]
root = True
timeout = 120

CONF = """
[service job]
trigger = fifo:job
trigger = unix:@DIR@/stream
trigger = unix-dgram:@DIR@/datagram mode=0666
trigger = tcp:127.0.0.1:@PORT@
trigger_ack = yes
exec = /bin/sh -c 'echo "$(cat)" >> @DIR@/ran'

[service tick]
every = 1s
trigger = fifo:retry
coalesce = 1s
trigger_timeout = 2s
exec = /bin/sh -c 'echo tick >> @DIR@/ticks'
"""

with Root("peers", net=True) as box:
    with box.inside_net(), Daemon(CONF, root=box, fds=False) as usher:
        ran = f"{usher.dir}/ran"

        def shell(text):
            return box.run("sh", "-c", text).stdout

        shell(f"printf 'printed\\n' > {usher.dir}/spool/job")
        wait_for(lambda: lines(ran) == ["printed"])
        shell(f"printf unended > {usher.dir}/spool/job")
        wait_for(lambda: lines(ran)[1:] == ["unended"])
        shell(f"echo reindex > {usher.dir}/spool/job")
        wait_for(lambda: lines(ran)[2:] == ["reindex"])
        for number, where in enumerate((
                f"UNIX-CONNECT:{usher.dir}/stream",
                f"TCP:127.0.0.1:{usher.port()}")):
            assert shell(f"echo socat{number} | socat -t 10 - {where}") == \
                "ACK\n"
            wait_for(lambda: lines(ran)[-1] == f"socat{number}")
        # socat binds itself when it is told to, and gets its answer.
        assert shell(f"printf bound | socat -t 5 - UNIX-SENDTO:{usher.dir}/"
                     f"datagram,bind={usher.dir}/socat-bound") == "ACK"
        wait_for(lambda: lines(ran)[-1] == "bound")
        shell(f"echo unbound | socat -u - UNIX-SENDTO:{usher.dir}/datagram")
        wait_for(lambda: lines(ran)[-1] == "unbound")
        shell(f"logger --socket {usher.dir}/datagram --socket-errors=on "
              f"-t test 'run this now'")
        wait_for(lambda: lines(ran)[-1].endswith("test: run this now"))

with Root("peers", net=True) as box:
    # The wall clock a day on, and a day back, while usher sleeps.
    stamp = f"{box.scratch}/faketime"
    preload = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
    found = box.run("sh", "-c", "ls /usr/lib/*/faketime/libfaketime.so.1")
    preload = found.stdout.strip() or preload
    env = {"LD_PRELOAD": preload, "FAKETIME_TIMESTAMP_FILE": stamp,
           "FAKETIME_NO_CACHE": "1", "DONT_FAKE_MONOTONIC": "1", "ASAN_OPTIONS":
           "verify_asan_link_order=0:detect_leaks=0"}

    def step(text):
        with open(stamp, "w", encoding="ascii") as file:
            file.write(text + "\n")

    step("+0")
    with box.inside_net(), Daemon(CONF, root=box, fds=False, env=env) as usher:
        ticks = f"{usher.dir}/ticks"
        with open(f"/proc/{usher.pid}/maps", encoding="utf-8") as maps:
            assert "libfaketime" in maps.read()
        for stepped in ("+1d", "-1d", "+400d", "+0"):
            before = len(lines(ticks))
            wait_for(lambda: len(lines(ticks)) > before)
            step(stepped)
            before = len(lines(ticks))
            wait_for(lambda: len(lines(ticks)) > before + 1)
        # No more than their time allows either: at least 0.95 s each.
        assert len(lines(ticks)) < 60
