"""10,000 services in one file (1,000 in a check; their figures are the
bench's): checked, started, each serves, a reload that changes one."""
import os
import resource
import time

from harness import Daemon, dose, receive_all, wait_for

plain = True
timeout = 240
full = 1200

COUNT = max(1000, dose(10000))
ONE = """
[service s{number}]
listen = unix:@DIR@/d/{number}
exec = /bin/echo {word}
"""


def file(word, count=COUNT):
    """All of them; the last one says WORD."""
    return "".join(ONE.format(number=n, word=word if n == COUNT - 1
                              else f"service {n}") for n in range(count))


def resident(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        words = dict(line.split(":", 1) for line in status)
    return int(words["VmRSS"].split()[0])


def says(number):
    with usher.client(f"unix:@DIR@/d/{number}") as client:
        return receive_all(client).decode().strip()


soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
want = COUNT * 2 + 1000
resource.setrlimit(resource.RLIMIT_NOFILE,
                   (min(hard, want), max(want, hard)) if hard >= want or
                   os.geteuid() == 0 else (hard, hard))
usher = Daemon(file("old"), fds=False, ready=False)
os.mkdir(f"{usher.dir}/d")
began = time.monotonic()
assert f"{COUNT} services, no mistake" in usher.run(
    "check", "-c", usher.file).stdout
checked, began = time.monotonic() - began, time.monotonic()
with usher:
    usher.wait_ready(60)
    started = time.monotonic() - began
    assert len(os.listdir(f"{usher.dir}/d")) == COUNT
    for number in (0, COUNT // 2):
        assert says(number) == f"service {number}"
    assert says(COUNT - 1) == "old"
    assert usher.run("status").stdout.startswith(f"{COUNT} services")

    # A reload that changes one and takes one away leaves the others alone.
    inode = os.stat(f"{usher.dir}/d/1").st_ino
    usher.write(file("new").replace(ONE.format(number=7, word="service 7"),
                                    ""))
    began = time.monotonic()
    usher.call("Reload")
    reloaded = time.monotonic() - began
    wait_for(lambda: says(COUNT - 1) == "new")
    assert len(os.listdir(f"{usher.dir}/d")) == COUNT - 1
    assert os.stat(f"{usher.dir}/d/1").st_ino == inode
    assert says(1) == "service 1"
    print(f"{COUNT} services: check {checked:.2f} s, start {started:.2f} s, "
          f"reload {reloaded:.2f} s, {resident(usher.pid)} KiB")
    # Far from any figure: something is quadratic.
    assert checked + started + reloaded < COUNT / 40, "too slow"
