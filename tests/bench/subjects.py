"""Who is measured: usher with a configuration, the limits, and the peers.

A peer comes from the host when it is installed there, else out of the cached
root (tests/roots), started by that root's own dynamic linker.
"""
import contextlib
import json
import os
import pathlib
import re
import shutil
import socket

from lab import Failed, connects, wait_for


# --- usher ------------------------------------------------------------------

class Usher:
    """A running usher; its subject, its control socket."""

    def __init__(self, lab, subject, control):
        self.lab, self.subject, self.control = lab, subject, control

    def call(self, method, timeout=30, **parameters):
        """One Varlink call; its parameters, or Failed."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(timeout)
            s.connect(self.control)
            call = {"method": f"org.usher.{method}", "parameters": parameters}
            s.sendall(json.dumps(call).encode() + b"\0")
            reply = b""
            while not reply.endswith(b"\0"):
                more = s.recv(65536)
                if not more:
                    raise Failed(f"{method}: the connection was closed")
                reply += more
        reply = json.loads(reply[:-1])
        if "error" in reply:
            raise Failed(f"{method}: {reply['error']} {reply['parameters']}")
        return reply.get("parameters", {})

    def settled(self):
        """Whether every service runs."""
        try:
            services = self.call("Status", timeout=5)["services"]
        except (OSError, Failed):
            return False
        return all(s["state"] == "running" for s in services)

    @property
    def pid(self):
        return self.subject.pid


HEAD = """[usher]
control = unix:{dir}/control
spool = {dir}
log = stderr
log_level = warning
{more}
"""


@contextlib.contextmanager
def usher(lab, text, more="", pin=None, env=None, seconds=30, settled=True):
    """usher with the sections of TEXT; MORE are lines of [usher]; not
    SETTLED: it need not run yet."""
    where = lab.dir / f"usher-{lab.count()}"
    where.mkdir()
    ini = where / "usher.ini"
    ini.write_text(HEAD.format(dir=where, more=more) + text)
    environ = {**os.environ, "NOTIFY_SOCKET": "", **(env or {})}
    for path in re.findall(r"^(?:listen|trigger) = (?:unix|unix-dgram|fifo):"
                           r"(/\S+)", text, re.M):
        pathlib.Path(path).unlink(missing_ok=True)
    with lab.run([lab.usher, "serve", "-c", ini], pin=pin,
                 env=environ) as subject:
        u = Usher(lab, subject, str(where / "control"))
        u.ini = ini
        if settled:
            wait_for(u.settled, subject, seconds)
        yield u


def service(name, **keys):
    """A section; a list is a key that is repeated, `_` in no key's name."""
    lines = [f"[service {name}]"]
    for key, value in keys.items():
        for v in value if isinstance(value, list) else [value]:
            lines.append(f"{key} = {v}")
    return "\n".join(lines) + "\n"


# --- peers ------------------------------------------------------------------

LIBRARIES = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu",
             "lib/aarch64-linux-gnu", "usr/lib/aarch64-linux-gnu",
             "usr/lib/systemd", "lib/systemd"]
LOADERS = ["lib64/ld-linux-x86-64.so.2", "lib/ld-linux-aarch64.so.1"]
PLACES = ["usr/sbin", "usr/bin", "usr/lib/systemd", "lib/systemd", "sbin",
          "bin"]


def program(lab, name):
    """The words that start NAME, or None when it is nowhere."""
    found = shutil.which(name) or next(
        (str(p / name) for p in (pathlib.Path("/usr/sbin"),
                                 pathlib.Path("/usr/lib/systemd"),
                                 pathlib.Path("/lib/systemd"))
         if (p / name).exists()), None)
    if found:
        return [found]
    if not lab.root:
        return None
    root = pathlib.Path(lab.root)
    loader = next((root / p for p in LOADERS if (root / p).exists()), None)
    for place in PLACES:
        if loader and (root / place / name).exists():
            path = ":".join(str(root / p) for p in LIBRARIES)
            return [str(loader), "--library-path", path,
                    str(root / place / name)]
    return None


def haproxy(lab, listen, backend, splice=False):
    words = program(lab, "haproxy")
    if not words:
        return None
    forced = ("    option splice-request\n    option splice-response\n"
              if splice else "")
    conf = lab.dir / f"haproxy-{lab.count()}"
    most = min(20000, lab.descriptors // 3)     # it counts pipes as well
    conf.write_text(f"""global
    nbthread 1
    maxconn {most}
    tune.pipesize 262144
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    maxconn {most}
{forced}listen relay
    bind {listen.partition(":")[2]}
    server s {backend.partition(":")[2]}
""")
    return [*words, "-db", "-f", conf], {}


def nginx(lab, listen, backend):
    words = program(lab, "nginx")
    if not words:
        return None
    module = next((p for p in (
        pathlib.Path(lab.root or "/") / "usr/lib/nginx/modules",
        pathlib.Path("/usr/lib/nginx/modules")) if
        (p / "ngx_stream_module.so").exists()), None)
    load = f"load_module {module}/ngx_stream_module.so;" if module else ""
    conf = lab.dir / f"nginx-{lab.count()}"
    conf.write_text(f"""{load}
daemon off;
user root;
worker_processes 1;
worker_rlimit_nofile 65536;
pid {conf}.pid;
error_log stderr error;
events {{ worker_connections 30000; }}
stream {{
    server {{
        listen {listen.partition(":")[2]} backlog=4096;
        proxy_pass {backend.partition(":")[2]};
    }}
}}
""")
    return [*words, "-p", lab.dir, "-e", "stderr", "-c", conf], {}


def proxyd(lab, listen, backend):
    words = program(lab, "systemd-socket-proxyd")
    if not words:
        return None
    host, port = listen.partition(":")[2].rsplit(":", 1)
    s = socket.create_server((host, int(port)), backlog=4096)
    s.setblocking(False)
    return ([*words, "--connections-max=20000", backend.partition(":")[2]],
            {"listen": s})


def socat(lab, listen, backend):
    words = program(lab, "socat")
    if not words:
        return None
    host, port = listen.partition(":")[2].rsplit(":", 1)
    return ([*words, f"TCP-LISTEN:{port},bind={host},fork,reuseaddr,"
             "backlog=4096,max-children=2000", f"TCP:{backend.partition(':')[2]}"],
            {})


def tcpserver(lab, listen, argv):
    words = program(lab, "tcpserver")
    if not words:
        return None
    host, port = listen.partition(":")[2].rsplit(":", 1)
    return ([*words, "-HRl0", "-b1000", "-c1000", host, port, *argv], {})


@contextlib.contextmanager
def peer(lab, made, address, pin=None):
    """Runs what one of the functions above returned."""
    argv, how = made
    listen = how.get("listen")
    try:
        with lab.run(argv, address, pin=pin,
                     listen=listen.fileno() if listen else None) as subject:
            yield subject
    finally:
        if listen:
            listen.close()
