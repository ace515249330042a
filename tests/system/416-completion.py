"""bash and zsh complete commands, options and services, in a real shell on a
terminal: half a word and a tab, and what was meant is what is run."""
import fcntl
import os
import pty
import select
import shutil
import struct
import subprocess
import termios

from harness import BINARY, Daemon, TOP, popen, stopped, wait_for
from lab import Root

group = "peers"
roots = ["shells"]
timeout = 120

CONF = """
[service hello]
listen = unix:@DIR@/hello
builtin = echo

[service world]
listen = unix:@DIR@/world
builtin = echo
"""
SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"],
             "bind 'set enable-bracketed-paste off'; . {dir}/usher.bash"),
    "zsh": (["zsh", "-f", "-i"],
            "fpath=({dir} $fpath); autoload -Uz compinit; "
            "compinit -u -d {dir}/dump"),
}


class Shell:
    """An interactive one; what is typed is seen in .text."""

    def __init__(self, name):
        command, setup = SHELLS[name]
        self.fd, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ,
                    struct.pack("HHHH", 24, 80, 0, 0))
        self.text = ""
        env = {"TERM": "xterm", "USHER_CONTROL": usher.control}
        self.process = popen(root.wrap(command, env), stdin=other,
                             stdout=other, stderr=subprocess.STDOUT)
        os.close(other)
        self.type(f"PATH={usher.dir}/bin:$PATH; "
                  + setup.format(dir=usher.dir) + "; echo re''ady\n")
        self.sees("ready\r\n")

    def type(self, text):
        os.write(self.fd, text.encode())

    def read(self):
        while select.select([self.fd], [], [], 0)[0]:
            self.text += os.read(self.fd, 65536).decode(errors="replace")

    def sees(self, text):
        def seen():
            self.read()
            return text in self.text
        try:
            wait_for(seen, what=repr(text))
        except AssertionError:
            print(self.text)
            raise
        self.text = ""

    def end(self):
        self.type("exit\n")
        stopped(self.process)
        os.close(self.fd)


with Root("shells") as root, Daemon(CONF, root=root) as usher:
    os.mkdir(f"{usher.dir}/bin")
    os.symlink(BINARY, f"{usher.dir}/bin/usher")
    for name in ("_usher", "usher.bash"):
        shutil.copy(os.path.join(TOP, "etc", "completion", name), usher.dir)
    for name in SHELLS:
        shell = Shell(name)
        # The whole line is typed first: what a tab did is seen when it runs.
        shell.type("usher pau\thel\t\n")
        shell.sees("hello: paused, arrivals wait in the kernel")
        assert usher.service("hello")["state"] == "paused"
        shell.type("usher resu\thel\t\n")
        shell.sees("hello: accepts again")
        shell.type("usher status --che\t; echo status $?\n")
        shell.sees("status 0\r\n")
        # Several are listed.
        shell.type("usher re\t\t")
        for word in ("reload", "restart", "resume"):
            def listed(word=word):
                shell.read()
                return word in shell.text
            wait_for(listed, what=f"{word} in a list of {name}'s")
        shell.type("\x15")
        shell.end()
