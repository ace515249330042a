"""Pids are few and soon another's: usher signals only whom it started, since
it holds a descriptor of each. In a pid namespace with pid_max 400."""
import os
import signal
import subprocess

from harness import (BINARY, Daemon, cannot, children, receive_all, wait_for)

root = True
timeout = 180

CONF = """
[service hello]
listen = unix:@DIR@/hello
exec = /bin/echo hello

[service stays]
listen = unix:@DIR@/stays
exec = /bin/sh -c 'echo $$; read word; exit 0'
max_age = 500ms
stop_timeout = 200ms
"""

# The pids of the namespace are bounded by its own pid_max (Linux 6.14), else
# by an innocent that takes the number of one that has just ended.
INSIDE = r"""
last=/proc/sys/kernel/ns_last_pid
[ -w $last ] || exit 76
exec "$@"
"""

with Daemon(CONF, command=["unshare", "--pid", "--fork", "--kill-child",
                           "--mount-proc", "sh", "-c", INSIDE, "sh",
                           "@BUILD@/usher", "serve", "-c", "@DIR@/usher.ini"],
            fds=False, status="gone", ready=False) as usher:
    wait_for(lambda: usher.exited() or os.path.exists(usher.control))
    if usher.ended == 76:
        cannot("ns_last_pid can't be written")
    usher.wait_ready()
    first = children(usher.proc.pid)[0]

    def inside(*words):
        return subprocess.Popen(["nsenter", f"--target={first}", "--pid",
                                 "--mount", *words], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, text=True)

    def innocent(pid):
        """A process that has PID in there, if it can be had."""
        how = (f"echo {pid - 1} >/proc/sys/kernel/ns_last_pid; "
               "sleep 30 & echo $!; exec >&-; wait")
        process = inside("sh", "-c", how)
        got = int(process.stdout.readline())
        return process, got

    reused = 0
    for _ in range(20):
        with usher.client("stays") as client:
            pid = int(client.recv(20))
            client.sendall(b"word\n")       # it ends by itself
            receive_all(client)
        process, got = innocent(pid)
        if got == pid:
            reused += 1
            # More than max_age and stop_timeout later it still lives.
            try:
                process.wait(1.2)
                raise AssertionError(f"pid {pid} was somebody else, killed")
            except subprocess.TimeoutExpired:
                pass
        subprocess.run(["nsenter", f"--target={first}", "--pid", "--mount",
                        "kill", "-9", str(got)], check=True)
        process.wait()
        process.stdout.close()
        if reused == 3:
            break
    assert reused >= 3, f"{reused} pids were had again"
    with usher.client("hello") as client:
        assert receive_all(client) == b"hello\n"
