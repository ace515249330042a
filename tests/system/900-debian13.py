"""Debian 13: the tree builds with gcc and with clang, warnings are errors,
its unit tests pass, and so does `make distcheck`."""
import os
import shutil
import subprocess

from harness import TOP
from lab import Root

group = "peers"
roots = ["build13"]
timeout = 900


def tree():
    """The tree as a tar, without what was built."""
    names = b""
    if shutil.which("git"):
        names = subprocess.run(
            ["git", "-c", f"safe.directory={TOP}", "ls-files", "-zco",
             "--exclude-standard"],
            cwd=TOP, stdout=subprocess.PIPE, check=False).stdout
    names = b"\0".join(name for name in names.split(b"\0") if name and
                       os.path.exists(os.path.join(os.fsencode(TOP), name)))
    which = ["--null", "--files-from=-"] if names else \
        ["--exclude=./build", "--exclude=./_build", "--exclude=./_inst", "."]
    return subprocess.run(["tar", "-C", TOP, "-cf", "-", *which], input=names,
                          stdout=subprocess.PIPE, check=True).stdout


STEPS = """set -e
cd /srv/tree
./autogen.sh >/dev/null 2>&1
configure() {
    mkdir -p "build/$1"
    cd "build/$1"
    shift
    ../../configure --silent --enable-werror "$@"
}
case $1 in
gcc)
    configure gcc
    make -s -j2 distcheck CHECK_GROUPS=unit \\
        DISTCHECK_CONFIGURE_FLAGS="--enable-werror CFLAGS=-O1" ;;
clang)
    configure clang CC=clang CFLAGS=-O0
    make -s -j2 check CHECK_GROUPS=unit ;;
bare)
    configure bare --without-systemd CFLAGS=-O0
    make -s -j2 all
    ! ldd ./usher | grep libsystemd ;;
esac
"""

with Root("build13", net=True) as root:
    unpack = root.wrap(["sh", "-c",
                        "mkdir /srv/tree && tar -C /srv/tree -xf -"])
    subprocess.run(unpack, input=tree(), check=True)
    for step in ("gcc", "clang", "bare"):
        root.run("sh", "-c", STEPS, "steps", step, timeout=600)
