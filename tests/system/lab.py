"""Programs of others, hosts beside this one, and a whole systemd.

    with Root("peers") as root:             a copy of tests/roots/peers.root
        root.run("git", "--version")        inside it, by chroot
        with Daemon(CONF, root=root): ...   usher inside it

    with Hosts("client", "server") as net:  network namespaces on one switch
        net.run("client", "ping", "-c1", "server")
        with net.inside("client"): ...      sockets opened here are client's
        net.impair("client", loss="1%")

    with Boot("boot12", inject=folder) as box:
        box.run("systemctl", "is-system-running")

All need root. Everything ends with its block, whatever it started.
"""
import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager

from harness import (BUILD, TOP, cannot, descendants, libc, popen, stopped,
                     wait_for)

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CLONE_NEWNET = 0x40000000
MADE = os.path.join(TOP, "tests", "roots", "make")


def checked(command, **how):
    """Runs COMMAND, returns CompletedProcess; a failure shows its output."""
    want = how.pop("status", 0)
    how.setdefault("stdin", subprocess.DEVNULL)
    how.setdefault("timeout", 120)
    if "input" in how:
        how.pop("stdin")
    done = subprocess.run(command, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False,
                          **how)
    assert want is None or done.returncode == want, (
        f"{' '.join(map(str, command))}: status {done.returncode}\n"
        f"{done.stdout}{done.stderr}")
    return done


class Root:
    """A cached root, entered in a mount namespace of its own.

    What is written inside goes to memory and is gone at the end. The scratch
    directory, the build and tests/ are there under their own names, so paths
    mean the same inside and outside. net=True: with a network of its own
    (only loopback), where ports below 1024 disturb nobody.
    """

    def __init__(self, name, net=False):
        self.lower = checked([MADE, name], timeout=900).stdout.strip()
        self.net = net
        self.dir = tempfile.mkdtemp(prefix="usher-root-")
        self.scratch = os.path.join(self.dir, "scratch")
        self.path = os.path.join(self.dir, "root")
        self.holder = None

    SETUP = """set -e
dir=$1 lower=$2; shift 2
mount -t tmpfs -o mode=755 usher-test "$dir/layer"
mkdir "$dir/layer/upper" "$dir/layer/work"
mount -t overlay -o \
"lowerdir=$lower,upperdir=$dir/layer/upper,workdir=$dir/layer/work" \
usher-test "$dir/root" || exit 76
cd "$dir/root"
for path in "$@"; do mkdir -p "./$path"; mount --bind "$path" "./$path"; done
mount -t proc proc proc
mount --rbind /dev dev
mount --rbind /sys sys
mount -t tmpfs -o mode=755 usher-test run
[ -z "$NET" ] || ip link set lo up
echo ready
exec chroot . sleep infinity
"""

    def __enter__(self):
        for name in ("layer", "root", "scratch"):
            os.mkdir(os.path.join(self.dir, name))
        os.chmod(self.dir, 0o755)
        command = ["unshare", "--mount", "--propagation", "private"]
        if self.net:
            command.append("--net")
        self.holder = popen(
            [*command, "sh", "-c", self.SETUP, "root", self.dir, self.lower,
             self.scratch, BUILD, os.path.join(TOP, "tests")],
            stdout=subprocess.PIPE, text=True,
            env={"PATH": PATH, "NET": "1" if self.net else ""})
        if self.holder.stdout.readline() == "ready\n":
            wait_for(lambda: not os.path.samefile(
                "/", f"/proc/{self.holder.pid}/root"))
        else:
            status = self.holder.wait()
            shutil.rmtree(self.dir, ignore_errors=True)
            if status == 76:
                cannot("no overlay mounts")
            raise AssertionError(f"entering {self.lower}: status {status}")
        return self

    def __exit__(self, *_):
        for pid in self.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        self.holder.stdout.close()
        stopped(self.holder, signal.SIGKILL)
        shutil.rmtree(self.dir, ignore_errors=True)

    def pids(self):
        """Everything that runs inside, by its root directory."""
        found = []
        for pid in descendants():
            try:
                if os.path.samefile(f"/proc/{pid}/root",
                                    f"/proc/{self.holder.pid}/root"):
                    found.append(pid)
            except OSError:
                pass
        return found

    def wrap(self, command, env=None, chdir="/"):
        """The command line that runs COMMAND inside."""
        inside = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8",
                  **{k: v for k, v in (env or {}).items()
                     if k not in ("PATH", "HOME", "PWD", "LANG")}}
        return (["nsenter", f"--target={self.holder.pid}", "--mount",
                 "--root", "--wd=/"]
                + (["--net"] if self.net else [])
                + ["env", "-i", f"--chdir={chdir}"]
                + [f"{k}={v}" for k, v in inside.items()] + list(command))

    def run(self, *command, env=None, chdir="/", **how):
        """Runs COMMAND inside to its end; its status must be 0 (status=N,
        None: any). Returns CompletedProcess."""
        return checked(self.wrap(command, env, chdir), **how)

    def popen(self, *command, env=None, chdir="/", **how):
        """Starts COMMAND inside; end it with harness.stopped()."""
        return popen(self.wrap(command, env, chdir), **how)

    def write(self, path, text, mode=0o644):
        """A file inside, seen by nobody else."""
        self.run("sh", "-c",
                 'mkdir -p "$(dirname "$1")" && cat >"$1" && chmod "$2" "$1"',
                 "sh", path, f"{mode:o}", input=text)

    @contextmanager
    def inside_net(self):
        """Sockets that this thread opens in the block are the root's."""
        with network(f"/proc/{self.holder.pid}/ns/net"):
            yield


@contextmanager
def network(path):
    """This thread in another network namespace, for the block."""
    ours = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    theirs = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(theirs, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            libc.setns(ours, CLONE_NEWNET)
    finally:
        os.close(theirs)
        os.close(ours)


class Hosts:
    """Hosts in network namespaces: 10.77.0.1, .2, ... and fd77::1, ... in
    the order given; each knows the others by name. See tests/netns."""

    SCRIPT = os.path.join(TOP, "tests", "netns")

    def __init__(self, *names):
        self.names = names
        self.lab = f"ut{os.getpid()}"

    def script(self, *words):
        return checked([self.SCRIPT, *words],
                       env={**os.environ, "USHER_BUILD": BUILD})

    def __enter__(self):
        try:
            self.script("up", self.lab, *self.names)
        except AssertionError as error:
            self.script("down", self.lab)
            if "not possible" in str(error):
                cannot(str(error).strip().splitlines()[-1])
            raise
        return self

    def __exit__(self, *_):
        self.script("down", self.lab)

    def address(self, name, family=4):
        number = self.names.index(name) + 1
        return f"10.77.0.{number}" if family == 4 else f"fd77::{number}"

    def wrap(self, host, command):
        return ["ip", "netns", "exec", f"{self.lab}-{host}", *command]

    def run(self, host, *command, **how):
        return checked(self.wrap(host, command), **how)

    def popen(self, host, *command, **how):
        return popen(self.wrap(host, command), **how)

    def inside(self, host):
        return network(f"/run/netns/{self.lab}-{host}")

    def impair(self, host, **how):
        """What HOST sends: delay="20ms", jitter=, loss="1%", dup=, reorder=,
        rate="10mbit", down=1; nothing: perfect again."""
        self.script("impair", self.lab, host,
                    *(f"{key}={value}" for key, value in how.items()))


class Boot:
    """A booted systemd: boot12 (252) or boot13 (257). See tests/systemd-boot.

    inject: a folder copied over / before it boots, as `make install DESTDIR=`
    makes one. bind: folders of this machine seen inside, writable.
    """

    SCRIPT = os.path.join(TOP, "tests", "systemd-boot")

    def __init__(self, root, inject=None, bind=(), **env):
        self.name = f"ut{os.getpid()}-{root}"
        self.env = {**os.environ, "ROOT": root, "INJECT": inject or "",
                    "BIND": " ".join(f"{b}:{b}" for b in bind), **env}

    def script(self, *words, **how):
        return checked([self.SCRIPT, *words], env=self.env, **how)

    def __enter__(self):
        done = self.script("up", self.name, status=None, timeout=900)
        if done.returncode == 76:
            cannot(done.stderr.strip().splitlines()[-1])
        assert done.returncode == 0, done.stderr
        return self

    def __exit__(self, *_):
        self.script("down", self.name)

    def run(self, *command, **how):
        """Runs COMMAND inside to its end, as Root.run."""
        return checked([self.SCRIPT, "run", self.name, *command],
                       env=self.env, **how)

    def popen(self, *command, **how):
        return popen([self.SCRIPT, "run", self.name, *command],
                     env=self.env, **how)

    def put(self, source, folder):
        self.script("put", self.name, source, folder)

    def journal(self, unit):
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u",
                        unit).stdout


def install(to):
    """The build, installed under TO as a package would."""
    checked(["make", "-C", BUILD, "-s", "install", f"DESTDIR={to}"])


