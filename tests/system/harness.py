"""What every system test stands on: a real usher in a scratch directory.

    with Daemon(CONF) as usher:         starts it, waits until it is ready
        usher.client("hello")           a connection to a service's door
        usher.call("Status")            a method of the control socket
        usher.run("status", "--json")   a client command

In CONF @DIR@ is the scratch directory, @TESTS@ this folder, @BUILD@ the
build, @PORT@ (@PORT:name@) a free port, usher.port("name") the same one.
When the block ends usher is asked to stop, and the test fails unless it ended
with status 0, left no process, no zombie, no descriptor more than it began
with, and no report of a sanitizer. When anything fails its log is printed.

Nothing here sleeps for luck: wait_for(condition) has a deadline. Programs of
others and more hosts than this one: see lab.py.
"""
import atexit
import ctypes
import faulthandler
import json
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

TESTS = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(TESTS))
BUILD = os.environ.get("USHER_BUILD") or next(
    (d for d in (os.path.join(TOP, "build", "asan"),
                 os.path.join(TOP, "build", "plain"), TOP)
     if os.access(os.path.join(d, "usher"), os.X_OK)), TOP)
BINARY = os.environ.get("USHER_BINARY", os.path.join(BUILD, "usher"))
PYTHON = "/usr/bin/python3"
# A callback of a debug build that takes longer fails the test (microseconds);
# what it takes is told at log_level = debug, so tests that count lines fail.
SLOW_US = int(os.environ.get("USHER_SLOW_US") or 0)
DEADLINE = 20.0         # for what takes milliseconds on an idle machine
PR_SET_CHILD_SUBREAPER = 36

libc = ctypes.CDLL(None, use_errno=True)
# Orphans come to us, so that none that usher left behind goes unseen.
libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
faulthandler.enable()


def skip(why):
    """The test is left out: what it needs is not here but could be."""
    print(why, flush=True)
    sys.exit(77)


def cannot(why):
    """The test is left out: this kernel or container can't."""
    print(why, flush=True)
    sys.exit(76)


def on_term(_signal, _frame):
    """The runner's time limit: say where we were, then clean up as ever."""
    faulthandler.dump_traceback()
    raise SystemExit("timeout")


signal.signal(signal.SIGTERM, on_term)


def dose(full):
    """How many of what is promised for FULL: a twentieth, but `make soak`
    (the mark full = SECONDS, see tests/run; tests/soak) wants all."""
    all_of_it = os.environ.get("USHER_FULL_DOSE") or \
        os.path.basename(sys.path[0]) == "soak"
    return full if all_of_it else max(3, full // 20)


# --- small helpers ---------------------------------------------------------------

def wait_for(condition, deadline=DEADLINE, what=None):
    """Calls CONDITION until it is true and returns what it said. OSError
    counts as not yet."""
    end = time.monotonic() + deadline
    pause = 0.002
    while True:
        try:
            value = condition()
        except OSError as error:
            value, last = None, error
        else:
            last = value
        if value:
            return value
        if time.monotonic() > end:
            name = what or getattr(condition, "__name__", "it")
            raise AssertionError(
                f"waited {deadline:g} s for {name}: last {last!r}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


reserved = []


def free_port():
    """A port nobody listens on. Below the range that outgoing connections
    take theirs from, and reserved against other tests while we live."""
    for _ in range(1000):
        port = random.randint(16000, 31999)
        mark = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            mark.bind(f"\0usher-test-port-{port}")
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(socket.AF_INET6, kind) as probe:
                    probe.setsockopt(socket.IPPROTO_IPV6,
                                     socket.IPV6_V6ONLY, 0)
                    probe.bind(("::", port))
        except OSError:
            mark.close()
            continue
        reserved.append(mark)
        return port
    raise AssertionError("no free port")


def children(pid=None):
    """The child processes of PID, or of us."""
    found = []
    for task in os.listdir(f"/proc/{pid or 'self'}/task"):
        path = f"/proc/{pid or 'self'}/task/{task}/children"
        with open(path, encoding="ascii") as file:
            found += [int(word) for word in file.read().split()]
    return found


def descendants(pid=None):
    found = []
    try:
        for child in children(pid):
            found += [child] + descendants(child)
    except OSError:
        pass
    return found


def process_state(pid):
    """One letter of proc(5), Z is a zombie; empty: no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def command_of(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            text = file.read().replace(b"\0", b" ").decode(errors="replace")
        with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
            return text.strip() or file.read().strip()
    except OSError:
        return "?"


def descriptors(pid):
    """Number to what it is, of a live process."""
    found = {}
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(number)] = os.readlink(f"/proc/{pid}/fd/{number}")
        except OSError:
            pass
    return found


def connect(address, timeout=DEADLINE):
    """A connected socket to an ADDRESS as usher writes them."""
    kind, _, rest = address.partition(":")
    types = {"unix": socket.SOCK_STREAM, "unix-pass": socket.SOCK_STREAM,
             "unix-seqpacket": socket.SOCK_SEQPACKET,
             "unix-dgram": socket.SOCK_DGRAM}
    if kind in types:
        sock = socket.socket(socket.AF_UNIX, types[kind])
        sock.settimeout(timeout)
        sock.connect("\0" + rest[1:] if rest.startswith("@") else rest)
        return sock
    host, _, port = rest.rpartition(":")
    host = host.strip("[]")
    if kind.startswith("udp"):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.settimeout(timeout)
        sock.connect((host or "127.0.0.1", int(port)))
        return sock
    if host in ("", "*"):
        host = "::1" if kind == "tcp6" else "127.0.0.1"
    return socket.create_connection((host, int(port)), timeout)


def receive_all(sock):
    """Everything until the peer closes."""
    parts = []
    while True:
        part = sock.recv(65536)
        if not part:
            return b"".join(parts)
        parts.append(part)


class CallError(Exception):
    """A Varlink error: .name and .parameters."""

    def __init__(self, name, parameters):
        super().__init__(f"{name} {json.dumps(parameters)}")
        self.name = name
        self.parameters = parameters


# --- the daemon --------------------------------------------------------------------

daemons = set()         # those that live


class Daemon:
    """usher serve with CONF, from ready to gone.

    args        more words for `usher serve`
    env         more environment
    command     what to start in place of `usher serve -c FILE`
    root        a lab.Root to run inside
    fds=False   do not compare descriptors at the end (doors were added, say)
    status=0    the exit status to expect at the end
    ready=False do not wait until it is ready
    """

    patience = 10.0     # for what should be gone to go

    def __init__(self, conf, *args, env=None, command=None, root=None,
                 fds=True, status=0, ready=True):
        self.args = args
        self.command = command
        self.root = root
        self.check_fds = fds
        self.status = status
        self.ready = ready
        self.ports = {}
        self.proc = None
        self.pid = None
        self.notify = None
        self.notified = []
        self.before = set()     # processes that were there before usher
        self.at_start = {}
        self.ended = None
        self.dir = root.scratch if root else \
            tempfile.mkdtemp(prefix="usher-test-")
        os.chmod(self.dir, 0o755)
        self.file = os.path.join(self.dir, "usher.ini")
        self.control = os.path.join(self.dir, "control")
        self.logfile = os.path.join(self.dir, "log")
        self.conf = ""
        self.extra_env = env or {}
        self.write(conf)

    # - configuration -

    def expand(self, text):
        """Puts directories and ports into TEXT."""
        text = text.replace("@DIR@", self.dir).replace("@TESTS@", TESTS)
        text = text.replace("@BUILD@", BUILD)
        return re.sub(r"@PORT(?::([\w.-]+))?@",
                      lambda m: str(self.port(m.group(1) or "")), text)

    def port(self, name=""):
        """The port that @PORT:NAME@ stands for."""
        if name not in self.ports:
            self.ports[name] = free_port()
        return self.ports[name]

    def write(self, conf):
        """Writes CONF as usher's file; a [usher] section gets what a test
        needs of it where it does not say so itself."""
        text = self.expand(conf)
        if not re.search(r"^\[usher\]", text, re.M):
            text = "[usher]\n" + text
        ours = {"control": f"unix:{self.control}",
                "spool": f"{self.dir}/spool",
                "log": "stderr",
                **({"log_level": "debug"} if SLOW_US else {}),
                "shutdown_timeout": "10s"}
        section = re.search(r"^\[usher\]\n((?:(?!\[).*\n?)*)", text, re.M)
        lines = "".join(f"{key} = {value}\n" for key, value in ours.items()
                        if not re.search(rf"^{key}\s*=", section.group(1),
                                         re.M))
        self.conf = text.replace("[usher]\n", "[usher]\n" + lines, 1)
        found = re.search(r"^control\s*=\s*unix:(\S+)", self.conf, re.M)
        self.control = found.group(1)
        temporary = self.file + ".new"
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(self.conf)
        os.rename(temporary, self.file)

    # - life -

    def __enter__(self):
        try:
            self.start(self.ready)
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def environment(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith((
            "LISTEN_", "NOTIFY_SOCKET", "WATCHDOG_"))}
        options = env.get("ASAN_OPTIONS", "")
        env["ASAN_OPTIONS"] = f"{options}:log_path={self.dir}/sanitizer"
        options = env.get("UBSAN_OPTIONS", "")
        env["UBSAN_OPTIONS"] = f"{options}:log_path={self.dir}/sanitizer"
        env["USHER_CONTROL"] = self.control
        env.update({k: self.expand(v) for k, v in self.extra_env.items()})
        return env

    def start(self, ready=True):
        """Starts usher, at the beginning or again after it was killed."""
        if not self.notify:
            self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.notify.bind(os.path.join(self.dir, "notify"))
            os.chmod(os.path.join(self.dir, "notify"), 0o666)
            self.notify.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            self.before = set(descendants())
        else:
            self.read_notify()      # what one before this one said last
        self.ended = None
        command = self.command or [BINARY, "serve", "-c", self.file]
        command = [self.expand(word) for word in command] + \
            [self.expand(word) for word in self.args]
        env = dict(self.environment(),
                   NOTIFY_SOCKET=os.path.join(self.dir, "notify"))
        if self.root:
            command, env = self.root.wrap(command, env), os.environ
        with open(self.logfile, "ab") as log:
            self.proc = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=env, cwd=self.dir)
        self.pid = self.proc.pid
        daemons.add(self)
        if ready:
            self.wait_ready()

    def wait_ready(self, deadline=DEADLINE):
        """Until the next READY=1; the pid that said it is usher's."""
        def ready():
            words = self.read_notify()
            if "READY=1" in words:
                self.ended = None
                return True
            # After kill() it is the keeper's next one that is waited for.
            if self.exited() and self.ended != -signal.SIGKILL:
                raise AssertionError(
                    f"usher ended before it was ready: {self.ended}")
            return False
        wait_for(ready, deadline, "READY=1")
        self.baseline()

    def read_notify(self):
        """What usher told its service manager since the last look."""
        words = []
        while True:
            try:
                data, anc, _, _ = self.notify.recvmsg(
                    4096, socket.CMSG_SPACE(12) + socket.CMSG_SPACE(1000),
                    socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                self.notified += words
                return words
            new = data.decode(errors="replace").splitlines()
            words += new
            for _, kind, value in anc:
                if kind == socket.SCM_RIGHTS:
                    for fd in struct.unpack(f"{len(value) // 4}i", value):
                        os.close(fd)
                elif "READY=1" in new:
                    self.pid = struct.unpack("3i", value[:12])[0]

    def baseline(self):
        """From here on no descriptor more may be open at the end."""
        def quiet():
            before, self.at_start = self.at_start, descriptors(self.pid)
            return self.at_start == before
        if self.check_fds:
            try:
                descriptors(self.pid)
            except PermissionError:     # not dumpable, and we are not root
                self.check_fds = False
                return
            wait_for(quiet, 5, "a quiet daemon")

    def exited(self):
        """Usher's exit status once it has ended (-N: by signal N)."""
        if self.ended is None:
            if self.proc and self.pid == self.proc.pid:
                self.ended = self.proc.poll()
            else:
                try:
                    pid, status = os.waitpid(self.pid, os.WNOHANG)
                except ChildProcessError:
                    if not process_state(self.pid):
                        self.ended = "gone"
                else:
                    if pid:
                        self.ended = os.waitstatus_to_exitcode(status)
        return self.ended is not None

    def wait_exit(self, deadline=DEADLINE):
        wait_for(self.exited, deadline, "usher's end")
        return self.ended

    def signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        """kill -9, and usher is dead when this returns."""
        os.kill(self.pid, signal.SIGKILL)
        return self.wait_exit()

    def stop(self):
        """SIGTERM, as at the end of the block; returns the exit status."""
        if not self.exited():
            os.kill(self.pid, signal.SIGTERM)
        # shutdown_timeout, then stop_timeout, and something to spare.
        return self.wait_exit(60)

    def __exit__(self, kind, error, _trace):
        problems = []
        try:
            if kind is None and self.proc and self.ended != -signal.SIGKILL:
                problems += self.end_well()
        except AssertionError as failure:
            problems.append(str(failure))
        finally:
            self.end_badly()
            daemons.discard(self)
            problems += self.sanitizer_reports() + self.slow_callbacks()
            if self.notify:
                self.notify.close()
            failed = problems or (error is not None and
                                  not isinstance(error, SystemExit))
            if failed or isinstance(error, SystemExit) and \
                    error.code not in (76, 77):
                print(f"--- log of usher ({self.dir})\n{self.log}---",
                      file=sys.stderr)
            if not self.root:
                shutil.rmtree(self.dir, ignore_errors=True)
        if problems:
            raise AssertionError("\n".join(problems)) from error

    def end_well(self):
        problems = []
        if not self.exited():
            if self.check_fds:
                problems += self.leaked_descriptors()
            problems += self.zombies()
        status = self.stop()    # at once where the test stopped it itself
        if status != self.status:
            problems.append(f"usher's exit status: {status}")
        try:
            wait_for(lambda: not self.leftovers(), self.patience)
        except AssertionError:
            problems += [f"usher left a process behind: {pid} "
                         f"{command_of(pid)}" for pid in self.leftovers()]
        return problems

    def leaked_descriptors(self):
        try:
            wait_for(lambda: len(descriptors(self.pid)) <= len(self.at_start),
                     self.patience)
        except AssertionError:
            now = descriptors(self.pid)
            new = [f"{number} {what}" for number, what in sorted(now.items())
                   if self.at_start.get(number) != what]
            return [f"{len(now)} descriptors, {len(self.at_start)} after the "
                    f"start; new: {', '.join(new)}"]
        return []

    def zombies(self):
        try:
            wait_for(lambda: all(process_state(p) != "Z"
                                 for p in children(self.pid)), self.patience)
        except AssertionError:
            return ["usher does not reap its children"]
        return []

    def leftovers(self):
        """Live processes that were not there before usher, less those that
        the test started itself and still holds, and other daemons'."""
        found = []
        for pid in set(descendants()) - self.before - held() - self.others():
            try:
                if process_state(pid) == "Z" and pid in children():
                    os.waitpid(pid, os.WNOHANG)
                    continue
            except ChildProcessError:
                pass
            if process_state(pid) not in ("", "Z", "X"):
                found.append(pid)
        return found

    def others(self):
        """Processes of daemons beside this one."""
        return {pid for daemon in daemons - {self}
                for top in {daemon.proc.pid, daemon.pid}
                for pid in (top, *descendants(top))}

    def end_badly(self):
        """Whatever happened: nothing of ours may stay."""
        for _ in range(3):
            left = self.leftovers() if self.notify else []
            if self.proc and self.proc.poll() is None:
                left.append(self.proc.pid)
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
            if not left:
                return
            time.sleep(0.05)            # a respawning keeper gets another go

    def sanitizer_reports(self):
        problems = []
        for name in sorted(os.listdir(self.dir)):
            if name.startswith("sanitizer."):
                with open(os.path.join(self.dir, name), encoding="utf-8",
                          errors="replace") as file:
                    text = file.read()
                if text.strip():
                    problems.append(text)
        found = re.search(r"^.*(ERROR: \w+Sanitizer|runtime error:).*$",
                          self.log, re.M)
        if found:
            problems.append(found.group(0))
        return problems

    def slow_callbacks(self):
        """By their own time; what they waited in is the machine's, mostly,
        and must be ten times as long."""
        return [f"a callback was slow: {what}" for what, us, own in re.findall(
            r"loop: (\S.* took (\d+) us \((\d+) of its own\))", self.log)
                if SLOW_US and (int(own) > SLOW_US or int(us) > 10 * SLOW_US)]

    # - what usher says -

    @property
    def log(self):
        try:
            with open(self.logfile, encoding="utf-8",
                      errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def wait_log(self, pattern, deadline=DEADLINE):
        """Until a line of the log matches PATTERN; returns the match."""
        return wait_for(lambda: re.search(pattern, self.log, re.M), deadline,
                        f"{pattern!r} in the log")

    # - ways in -

    def address(self, service, which=0, key="listen"):
        """The address (without options) of a service's door in CONF."""
        section = re.search(rf"^\[service {re.escape(service)}\]\n"
                            r"((?:(?!\[).*\n?)*)", self.conf, re.M)
        assert section, f"no service {service} in this test's CONF"
        found = re.findall(rf"^{key}\s*=\s*(\S+)", section.group(1), re.M)
        return found[which]

    def client(self, service, which=0, timeout=DEADLINE):
        """A connected socket to a service's door, or to an ADDRESS."""
        if ":" not in service:
            service = self.address(service, which)
        return connect(self.expand(service), timeout)

    def run(self, *words, status=0, stdin="", timeout=60, pass_fds=(),
            env=None):
        """A client command. Its exit status must be STATUS (None: any).
        Returns subprocess.CompletedProcess, texts in .stdout, .stderr."""
        done = subprocess.run(
            [BINARY, *(self.expand(str(w)) for w in words)], input=stdin,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            timeout=timeout, env={**self.environment(), **(env or {})},
            pass_fds=pass_fds, check=False)
        assert status is None or done.returncode == status, (
            f"usher {' '.join(map(str, words))}: status {done.returncode}, "
            f"not {status}\n{done.stdout}{done.stderr}")
        return done

    def call(self, method, fds=(), timeout=60, **parameters):
        """Calls org.usher.METHOD (or a full name) and returns the reply's
        parameters; raises CallError. Descriptors of a reply: call_fds."""
        return self.call_fds(method, fds, timeout, **parameters)[0]

    def call_fds(self, method, fds=(), timeout=60, **parameters):
        with Control(self.control, timeout) as control:
            control.send(method, fds, **parameters)
            return control.reply(), control.fds

    def call_line(self, line):
        """A line as a shell sends it; returns the line that comes back."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(60)
            sock.connect(self.control)
            sock.sendall(line.encode() + b"\n")
            return sock.makefile("r").readline()

    def error(self, method, fds=(), **parameters):
        """The same, for a call that must fail: the error's name."""
        try:
            reply = self.call(method, fds, **parameters)
        except CallError as error:
            return error.name
        raise AssertionError(f"{method} did not fail: {reply}")

    def stream(self, method, timeout=60, **parameters):
        """Calls with `more`: a generator of replies. Close it when done."""
        with Control(self.control, timeout) as control:
            control.send(method, more=True, **parameters)
            while True:
                reply = control.receive()
                yield control.parameters(reply)
                if not reply.get("continues"):
                    return

    def service(self, name):
        """A service as Status tells it."""
        return self.call("Status", service=name)["services"][0]

    def wait_state(self, name, state, deadline=DEADLINE):
        return wait_for(lambda: self.service(name)["state"] == state,
                        deadline, f"service {name} being {state}")

    def workers(self, name):
        """The pids of a service's workers, as Status tells them."""
        return [worker["pid"] for worker in self.service(name)["workers"]]


class Control:
    """A Varlink connection to a control socket."""

    def __init__(self, path, timeout=60):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        self.sock.connect(path)
        self.buffer = b""
        self.fds = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, method, fds=(), more=False, oneway=False, **parameters):
        if "." not in method:
            method = "org.usher." + method
        message = {"method": method, "parameters": parameters}
        if more:
            message["more"] = True
        if oneway:
            message["oneway"] = True
        data = json.dumps(message).encode() + b"\0"
        if fds:
            sent = socket.send_fds(self.sock, [data], list(fds))
            data = data[sent:]
        if data:
            self.sock.sendall(data)

    def receive(self):
        """The next message, whole; descriptors gather in .fds."""
        while b"\0" not in self.buffer:
            data, fds, _, _ = socket.recv_fds(self.sock, 65536, 253,
                                              socket.MSG_CMSG_CLOEXEC)
            self.fds += fds
            if not data:
                raise ConnectionError("usher closed the control connection")
            self.buffer += data
        text, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(text)

    @staticmethod
    def parameters(reply):
        if "error" in reply:
            raise CallError(reply["error"], reply.get("parameters", {}))
        return reply.get("parameters", {})

    def reply(self):
        return self.parameters(self.receive())


# --- processes of the test's own ------------------------------------------------------

programs = []


def popen(command, **how):
    """subprocess.Popen of a program that the test holds until stopped() or
    its own end; the harness does not take it for one of usher's."""
    how.setdefault("stdin", subprocess.DEVNULL)
    process = subprocess.Popen(command, **how)
    programs.append(process)
    return process


def stopped(process, number=signal.SIGTERM, deadline=DEADLINE):
    """Ends one of popen's, for certain; returns its status."""
    if process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(deadline)
        except subprocess.TimeoutExpired:
            process.kill()
    status = process.wait()
    if process in programs:
        programs.remove(process)
    return status


def end_programs():
    for process in list(programs):
        stopped(process, signal.SIGKILL)


atexit.register(end_programs)


def held():
    found = set()
    for process in programs:
        if process.poll() is None:
            found |= {process.pid, *descendants(process.pid)}
    return found
