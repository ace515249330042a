"""A FIFO is surely ours: what somebody put in its place is refused with what
to do about it, nothing of anybody's is deleted; one that was removed is made
anew."""
import os
import stat

from harness import Daemon, wait_for
from trigger_lib import lines, put

group = "core"
root = True
parallel = True

CONF = """
[service job]
trigger = fifo:job
trigger = unix:@DIR@/other
exec = /bin/sh -c 'echo "$(cat)" >> @DIR@/ran'
"""

NOBODY = 65534


def contents(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def refused(prepare, pattern, left):
    """A start with what PREPARE puts into the spool: said, left as it was,
    and once it is gone the FIFO is made."""
    usher = Daemon(CONF, fds=False)
    spool = f"{usher.dir}/spool"
    fifo = f"{spool}/job"
    os.mkdir(spool, 0o755)
    prepare(usher.dir, spool, fifo)
    with usher:
        usher.wait_log(pattern)
        assert left(usher.dir, spool, fifo)
        os.chmod(spool, 0o755)
        os.chown(spool, 0, 0)
        if os.path.isdir(fifo) and not os.path.islink(fifo):
            os.rmdir(fifo)
        elif os.path.lexists(fifo) and not \
                stat.S_ISFIFO(os.lstat(fifo).st_mode):
            os.unlink(fifo)
        elif os.path.lexists(fifo) and (os.lstat(fifo).st_uid == NOBODY or
                                        os.lstat(fifo).st_nlink > 1):
            os.unlink(fifo)
        wait_for(lambda: stat.S_ISFIFO(os.lstat(fifo).st_mode), 30)
        wait_for(lambda: put(fifo, b"well\n") or True, 30)
        wait_for(lambda: lines(f"{usher.dir}/ran") == ["well"])


def link(scratch, _spool, fifo):
    with open(f"{scratch}/target", "w", encoding="utf-8") as file:
        file.write("precious\n")
    os.symlink(f"{scratch}/target", fifo)


refused(link, r"job is a symbolic link; .*rm ",
        lambda d, s, f: contents(f"{d}/target") == "precious\n" and
        os.path.islink(f))


def hard(scratch, _spool, fifo):
    os.mkfifo(f"{scratch}/elsewhere")
    os.link(f"{scratch}/elsewhere", fifo)


refused(hard, r"job is a FIFO with 2 hard links.*rm ",
        lambda d, s, f: os.lstat(f).st_nlink == 2)


def others_file(_scratch, _spool, fifo):
    with open(fifo, "w", encoding="utf-8") as file:
        file.write("mine\n")
    os.chown(fifo, NOBODY, NOBODY)


refused(others_file, r"job is a regular file that belongs to uid 65534",
        lambda d, s, f: contents(f) == "mine\n")


def others_fifo(_scratch, _spool, fifo):
    os.mkfifo(fifo)
    os.chown(fifo, NOBODY, NOBODY)


refused(others_fifo, r"job is a FIFO that belongs to uid 65534",
        lambda d, s, f: os.lstat(f).st_uid == NOBODY)
refused(lambda d, s, f: os.mkdir(f), r"job is a directory; .*rm -r ",
        lambda d, s, f: os.path.isdir(f))
refused(lambda d, s, f: os.chmod(s, 0o777),
        r"others may write to directory .*chmod go-w",
        lambda d, s, f: not os.path.lexists(f))
refused(lambda d, s, f: os.chown(s, NOBODY, NOBODY),
        r"directory .* belongs to uid 65534",
        lambda d, s, f: not os.path.lexists(f))

# While it runs.
usher = Daemon(CONF)
spool = f"{usher.dir}/spool"
fifo = f"{spool}/job"
ran = f"{usher.dir}/ran"
os.mkdir(spool, 0o755)
# A shell's `>` made a file before usher was there.
with open(fifo, "w", encoding="utf-8") as file:
    file.write("early\nbird")
with usher:
    wait_for(lambda: lines(ran) == ["early", "bird"])
    assert contents(f"{fifo}.found") == "early\nbird"
    assert stat.S_ISFIFO(os.lstat(fifo).st_mode)
    assert stat.S_IMODE(os.lstat(fifo).st_mode) == 0o620

    def anew(before, pattern):
        usher.wait_log(pattern)
        wait_for(lambda: stat.S_ISFIFO(os.lstat(fifo).st_mode) and
                 os.lstat(fifo).st_ino != before)
        count = len(lines(ran))
        wait_for(lambda: put(fifo, f"after-{count}\n".encode()) or True)
        wait_for(lambda: lines(ran)[count:] == [f"after-{count}"])

    # Removed, with a word still in it.
    before = os.lstat(fifo).st_ino
    writer = os.open(fifo, os.O_WRONLY)
    os.unlink(fifo)
    anew(before, "job was removed; it is made anew")
    os.close(writer)
    # A file moved over it: its lines are taken, the file stays, renamed.
    with open(f"{spool}/file", "w", encoding="utf-8") as file:
        file.write("moved\n")
    os.rename(f"{spool}/file", fifo)
    wait_for(lambda: "moved" in lines(ran))
    anew(0, "job was replaced by a regular file")
    assert contents(f"{fifo}.found.1") == "moved\n"
    # A link: refused, until somebody removes it.
    os.symlink("/dev/null", f"{spool}/link")
    os.rename(f"{spool}/link", fifo)
    usher.wait_log("job is a symbolic link")
    assert os.path.islink(fifo)
    os.unlink(fifo)
    anew(0, "made anew")
    # The whole directory.
    os.rename(spool, f"{usher.dir}/away")
    anew(0, "made anew")
    os.unlink(fifo)
    anew(0, "made anew")
# It stays when usher stops: a writer waits for the next one.
