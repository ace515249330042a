"""A place to measure in: a network namespace with the kernel's defaults,
a cgroup for each subject, programs built and processes ended.

Nothing here knows what is measured; see arrivals.py, relays.py and the others.
"""
import contextlib
import ctypes
import errno
import fcntl
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
CLONE_NEWNET, CLONE_NEWUSER = 0x40000000, 0x10000000

# What a host may have changed, as the kernel has it when new.
DEFAULTS = {
    "ipv4/tcp_rmem": "4096 131072 6291456",
    "ipv4/tcp_wmem": "4096 16384 4194304",
    # The kernel's is cubic, which a namespace may be forbidden.
    "ipv4/tcp_congestion_control": "reno cubic",
    "ipv4/ip_local_port_range": "1024 65535",   # not a default: many clients
    "core/somaxconn": "4096",
    "unix/max_dgram_qlen": "10",
}


# Descriptors: ten thousand relayed connections are twenty thousand.
DESCRIPTORS = 65536


class Failed(Exception):
    """A subject that did not come up or a generator that gave up."""


def unshare(flags):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def write(path, text):
    with open(path, "w") as f:
        f.write(text)


def enter_namespace():
    """A network namespace of our own; a user who is not root becomes it."""
    uid, gid = os.getuid(), os.getgid()
    try:
        unshare(CLONE_NEWNET)
    except PermissionError:
        unshare(CLONE_NEWUSER | CLONE_NEWNET)
        write("/proc/self/setgroups", "deny")
        write("/proc/self/uid_map", f"0 {uid} 1")
        write("/proc/self/gid_map", f"0 {gid} 1")
    with socket.socket() as s:          # ip link set lo up
        flags = struct.pack("16sh14x", b"lo", 1 | 0x40)
        fcntl.ioctl(s, 0x8914, flags)
    for key, value in DEFAULTS.items():
        for v in value.split() if key.endswith("control") else [value]:
            with contextlib.suppress(OSError):
                write(f"/proc/sys/net/{key}", v)


def raise_descriptors():
    """For what we start; a user who may not has what he has."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(ValueError, OSError):
        hard = max(hard, DESCRIPTORS)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


PROGRAMS = {
    "common": ["bench.c", "window.c"],
    "flags": {
        "tiny": ["-static", "-nostdlib", "-s", "-Wl,-n,--build-id=none",
                 "-Wl,-z,noseparate-code"],
        "balloon": ["-shared", "-fPIC"],
    },
    "make": ["loop-cost"],      # linked with usher's code, by its Makefile
}


def build(directory):
    """Compiles every program here into DIRECTORY, if its source is newer."""
    directory.mkdir(parents=True, exist_ok=True)
    common = [HERE / f for f in PROGRAMS["common"]]
    newest = max(f.stat().st_mtime for f in [*common, HERE / "bench.h"])
    cc = os.environ.get("CC", "cc").split()
    for source in sorted(HERE.glob("*.c")):
        if source in common or source.stem in PROGRAMS["make"]:
            continue
        out = directory / source.stem
        if out.exists() and out.stat().st_mtime > max(
                newest, source.stat().st_mtime):
            continue
        flags = PROGRAMS["flags"].get(source.stem)
        more = common if flags is None else []
        subprocess.run([*cc, "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall",
                        "-Wextra", *(flags or []), "-o", out, source, *more],
                       check=True)


def mounts(kind, option=None):
    """Where a cgroup file system of KIND (with OPTION) is mounted."""
    for line in open("/proc/mounts"):
        _, where, what, options, *_ = line.split()
        if what == kind and (not option or option in options.split(",")):
            yield pathlib.Path(where)


def cgroup_root():
    """A directory for our cgroups and the name of the file that has the
    processor time: v2's cpu.stat, else v1's cpuacct.usage, else none."""
    for kind, option, name in (("cgroup2", None, "cpu.stat"),
                               ("cgroup", "cpuacct", "cpuacct.usage")):
        for where in mounts(kind, option):
            root = where / f"usher-bench-{os.getpid()}"
            try:
                root.mkdir()
                if (root / name).exists():
                    return root, name
                root.rmdir()
            except OSError:
                continue
    return None, None


class Subject:
    """A running program whose processor time is counted, with all that it
    starts."""

    def __init__(self, lab, argv, env=None, pin=None, listen=None):
        self.lab, self.cgroup = lab, None
        if lab.cgroups:
            self.cgroup = lab.cgroups / f"subject-{lab.count()}"
            self.cgroup.mkdir()
        self.log = lab.dir / f"log-{lab.count()}"
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self._become([str(a) for a in argv], env, pin, listen)
            except BaseException as e:
                os.write(2, f"{argv[0]}: {e}\n".encode())
            os._exit(127)

    def _become(self, argv, env, pin, listen):
        os.setsid()
        if self.cgroup:
            write(self.cgroup / "cgroup.procs", "0")
        if pin is not None:
            os.sched_setaffinity(0, {pin})
        null = os.open("/dev/null", os.O_RDWR)
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(null, 0), os.dup2(log, 1), os.dup2(log, 2)
        env = dict(os.environ if env is None else env)
        if listen is not None:          # as systemd gives a socket
            os.dup2(listen, 3)
            os.set_inheritable(3, True)
            env.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
        os.execve(argv[0], argv, env)

    @property
    def cpu(self):
        if self.cgroup:
            return str(self.cgroup / self.lab.cpu_file)
        return f"tree:{self.pid}"

    def alive(self):
        return os.waitpid(self.pid, os.WNOHANG) == (0, 0)

    def text(self):
        return self.log.read_text(errors="replace")

    def _pids(self):
        if self.cgroup:
            return [int(p) for p in
                    (self.cgroup / "cgroup.procs").read_text().split()]
        return descendants(self.pid)

    def stop(self):
        """Ends everything of the subject's, and waits until it is gone."""
        deadline = time.monotonic() + 20
        pids = self._pids()
        while pids and time.monotonic() < deadline:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            time.sleep(0.01)
            pids = self._pids()
        while self.cgroup:
            try:
                self.cgroup.rmdir()
                return
            except OSError as e:
                if e.errno != errno.EBUSY or time.monotonic() > deadline:
                    return
                time.sleep(0.01)


def descendants(pid):
    """PID and everything below it, the living only."""
    try:
        state = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0]
        children = open(f"/proc/{pid}/task/{pid}/children").read().split()
    except OSError:
        return []
    mine = [] if state == "Z" else [pid]
    return mine + [p for c in children for p in descendants(int(c))]


def memory():
    """Where sockets cost no disk's time, as under /run: 10,000 of them made
    and removed keep ext4 busy for seconds."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class Lab:
    """What every table needs: where things are, and how long to measure."""

    def __init__(self, usher, programs, root, quick=False, pairs=5,
                 seconds=2.0):
        self.usher, self.programs, self.root = usher, programs, root
        self.quick, self.pairs, self.seconds = quick, pairs, seconds
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="ub-", dir=memory()))
        self.cgroups, self.cpu_file = cgroup_root()
        self.descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        self._count = 0

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)
        if self.cgroups:
            with contextlib.suppress(OSError):
                self.cgroups.rmdir()

    def count(self):
        self._count += 1
        return self._count

    def program(self, name):
        return self.programs / name

    def path(self, name):
        return self.dir / name

    def port(self):
        """A free TCP address of this namespace."""
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            return f"tcp:127.0.0.1:{s.getsockname()[1]}"

    def address(self, kind):
        """A new address of KIND: tcp, unix, unix-dgram, fifo."""
        if kind == "tcp":
            return self.port()
        return f"{kind}:{self.dir}/{self.count()}"

    @contextlib.contextmanager
    def run(self, argv, address=None, **how):
        """A subject that is up: ADDRESS is connected to until it answers."""
        kind, _, path = (address or "tcp:").partition(":")
        if kind != "tcp":       # what the one before left is not ours
            pathlib.Path(path).unlink(missing_ok=True)
        subject = Subject(self, argv, **how)
        try:
            if address:
                wait_for(lambda: connects(address), subject)
            yield subject
        finally:
            subject.stop()

    @contextlib.contextmanager
    def backend(self, mode, address=None, pin=None):
        """Something to relay to; yields its address."""
        address = address or self.port()
        argv = [self.program("backend"), "-a", address, "-m", mode]
        with self.run(argv, address, pin=pin):
            yield address

    def load(self, name, *args, subject=None, pin=None, seconds=None):
        """Runs a generator; its result, with `each`: CPU us a unit."""
        seconds = seconds or self.seconds
        argv = [str(self.program(name)), "-t", str(seconds), *map(str, args)]
        if subject:
            argv += ["-c", subject.cpu]
        r = subprocess.run(argv, capture_output=True, text=True,
                           timeout=seconds * 3 + 60,
                           preexec_fn=pinned(pin))
        if r.returncode:
            raise Failed(f"{name}: {r.stderr.strip()}")
        result = json.loads(r.stdout)
        if not result["units"]:
            raise Failed(f"{name}: nothing was served: "
                         f"{result['errors']} errors, {result['error']}")
        result["each"] = result["cpu"] / result["units"] * 1e6
        result["rate"] = result["units"] / result["seconds"]
        return result


def pinned(cpu):
    if cpu is None:
        return None
    return lambda: os.sched_setaffinity(0, {cpu})


def connects(address):
    """Whether a stream address can be connected to; a FIFO: whether it is."""
    kind, _, rest = address.partition(":")
    if kind in ("fifo", "unix-dgram"):
        return os.path.exists(rest)
    family = socket.AF_INET if kind == "tcp" else socket.AF_UNIX
    host, _, port = rest.rpartition(":")
    with socket.socket(family, socket.SOCK_STREAM) as s:
        try:
            s.connect((host, int(port)) if kind == "tcp" else rest)
        except OSError:
            return False
    return True


def wait_for(condition, subject, seconds=30):
    """Waits until CONDITION holds; SUBJECT's end or the deadline fails."""
    deadline = time.monotonic() + seconds
    while not condition():
        if not subject.alive():
            raise Failed(f"did not come up: {subject.text().strip()[-500:]}")
        if time.monotonic() > deadline:
            raise Failed(f"not up in {seconds} s: {subject.text()[-500:]}")
        time.sleep(0.01)


def median(values):
    return statistics.median(values)
