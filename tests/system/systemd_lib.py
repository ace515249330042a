"""usher as systemd's unit, in a booted box.

    with Unit("boot12", CONF) as unit:      installed, configured, started
        unit.ctl("reload")                  systemctl reload usher.service
        unit.load(connections=["pass"])     continuity_load.Load, inside
        unit.pid                            of the main process, inside

In CONF @DIR@ is a folder seen under its own name on both sides, @TESTS@ the
tests, @PORT:name@ a port inside, @BUILD@ a folder with programs of the build. At the end the unit is stopped, and nothing
of it may be left.
"""
import glob
import os
import re
import shutil
import tempfile

import continuity_load
from harness import BUILD, TESTS, wait_for
from lab import Boot, install

SERVICE = "usher.service"
RUN = "/etc/systemd/system/usher.service.d"
# Loads, and workers that are no bottleneck.
PROGRAMS = ("tests/torture", "tests/bench/load-conn",
            "tests/bench/worker-pass", "tests/bench/limit-accept")
# What a test needs of every unit: leaks can't be looked for in a sandbox.
OURS = """[Service]
Environment=ASAN_OPTIONS=detect_leaks=0
"""


class Load(continuity_load.Load):
    """The same processes, inside."""

    def start(self, *words, **how_to):
        popen = self.popen
        self.popen = lambda command, **how: self.usher.box.popen(
            "/usr/bin/python3", *command[1:], **how)
        try:
            super().start(*words, **how_to)
        finally:
            self.popen = popen


class Unit:
    control = "/run/usher/control"

    def __init__(self, root, conf, dropins=(), start=True, tree=None):
        self.root = root
        self.start = start
        self.dir = tempfile.mkdtemp(prefix="usher-unit-")
        os.chmod(self.dir, 0o777)
        self.tree = tree or os.path.join(self.dir, "tree")
        if not tree:
            os.mkdir(self.tree)
            install(self.tree)
        self.ports = {}
        self.box = Boot(root, inject=self.tree, bind=(TESTS, self.dir))
        self.dropins = dropins
        for name in PROGRAMS:
            to = os.path.join(self.dir, "build", name)
            os.makedirs(os.path.dirname(to), exist_ok=True)
            shutil.copy(os.path.join(BUILD, name), to)
        self.conf = self.expand(conf)

    def expand(self, text):
        text = text.replace("@DIR@", self.dir).replace("@TESTS@", TESTS)
        text = text.replace("@BUILD@", f"{self.dir}/build")
        return re.sub(r"@PORT:([\w.-]+)@", lambda m: str(
            self.ports.setdefault(m.group(1), 7000 + len(self.ports))), text)

    def address(self, name):
        section = re.search(rf"^\[service {name}\]\n((?:(?!\[).*\n?)*)",
                            self.conf, re.M).group(1)
        return re.search(r"^listen\s*=\s*(\S+)", section, re.M).group(1)

    # - inside -

    def run(self, *command, **how):
        return self.box.run(*command, **how)

    def sh(self, script, *words, **how):
        return self.run("sh", "-c", script, "sh", *words, **how)

    def put(self, path, text):
        """A file inside, whole at once."""
        self.sh('mkdir -p "$(dirname "$1")" && cat >"$1.new" && '
                'mv "$1.new" "$1"', path, input=text)

    def write(self, conf):
        self.conf = self.expand(conf)
        self.put("/etc/usher/usher.ini", self.conf)

    def use(self, *dropins):
        """These drop-ins, as installed, and no other."""
        self.sh(f"rm -rf {RUN}")
        self.put(f"{RUN}/zz-test.conf", OURS)
        for name in dropins:
            self.sh(f'cp /usr/local/share/doc/usher/drop-ins/"$1" {RUN}/',
                    f"{name}.conf")
        self.run("systemctl", "daemon-reload")

    def ctl(self, *words, status=0):
        return self.run("systemctl", *words, SERVICE, status=status)

    def usher(self, *words, **how):
        return self.run("usher", *words, **how)

    def show(self, name):
        return self.run("systemctl", "show", "-P", name,
                        SERVICE).stdout.strip()

    @property
    def pid(self):
        return int(self.show("MainPID"))

    def active(self):
        return self.ctl("is-active", status=None).stdout.strip() == "active"

    def ready(self, other_than=0, deadline=30):
        """Until it is active, with another main process than OTHER_THAN."""
        def other():
            pid = self.pid
            return self.active() and pid not in (0, other_than) and pid
        return wait_for(other, deadline, "an active usher")

    def kill(self):
        """kill -9, and the next one is ready."""
        pid = self.pid
        self.run("kill", "-9", str(pid))
        return self.ready(pid)

    def journal(self, *words):
        return self.run("journalctl", "--no-pager", "-o", "cat",
                        *(words or ("-u", SERVICE))).stdout

    def wait_journal(self, pattern, *words, deadline=20):
        return wait_for(lambda: re.search(pattern, self.journal(*words)),
                        deadline, f"{pattern} in the journal")

    def load(self, **kinds):
        return Load(self, **kinds)

    # - what must not be left -

    def processes(self):
        return self.sh(
            "find /sys/fs/cgroup -path '*usher.service*' -name cgroup.procs "
            "-exec cat {} + 2>/dev/null || :").stdout.split()

    def left(self):
        """Processes, sockets and paths of usher's that are there."""
        found = [f"process {p}" for p in self.processes()]
        found += self.sh("ps -eo pid=,comm= | grep -w usher || :"
                         ).stdout.splitlines()
        found += [line for line in self.run("ss", "-Hlnxtu").stdout
                  .splitlines() if "usher" in line or
                  any(f":{p} " in line for p in self.ports.values())]
        found += self.sh("find /run/usher -name 'control*' ! -name '*.lock' "
                         "2>/dev/null || :").stdout.split()
        found += [p for p in glob.glob(f"{self.dir}/*")
                  if os.path.exists(p) and
                  os.stat(p).st_mode & 0o170000 == 0o140000]
        return found

    def __enter__(self):
        self.box.__enter__()
        try:
            self.run("systemd-sysusers")
            self.run("systemd-tmpfiles", "--create")
            self.use(*self.dropins)
            self.write(self.conf)
            if self.start:
                self.ctl("start")
        except BaseException:
            self.__exit__(AssertionError, None, None)
            raise
        return self

    def __exit__(self, kind, *_):
        left = None
        try:
            if kind:
                print(f"--- {self.root}: the journal\n"
                      + self.box.run("journalctl", "--no-pager", "-o",
                                     "short-monotonic", "-n", "60", "-u", SERVICE,
                                     status=None).stdout)
            else:
                self.ctl("stop")
                left = self.left()
        finally:
            self.box.__exit__()
            shutil.rmtree(self.dir, ignore_errors=True)
        assert not left, f"{self.root}: left after the stop: {left}"
