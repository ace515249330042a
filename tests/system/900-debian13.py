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
for cc in gcc clang; do
    mkdir -p build/$cc
    cd build/$cc
    ../../configure --silent --enable-werror CC=$cc CFLAGS='-g -O1' "$@"
    make -s -j2 programs
    cd ../..
done
"""

with Root("build13", net=True) as root:
    unpack = root.wrap(["sh", "-c", "mkdir /srv/tree && tar -C /srv/tree -xf -"])
    subprocess.run(unpack, input=tree(), check=True)
    root.run("sh", "-c", STEPS, timeout=600)
    for cc in ("gcc", "clang"):
        root.run("tests/run", f"--build=build/{cc}", "--group=unit",
                 chdir="/srv/tree", timeout=600)
    root.run("make", "-s", "-j2", "distcheck", "CHECK_GROUPS=unit",
             chdir="/srv/tree/build/gcc", timeout=600)
    root.run("sh", "-c", "cd /srv/tree && mkdir build/bare && cd build/bare && "
             "../../configure --silent --enable-werror --without-systemd && "
             "make -s -j2 programs && ! ldd ./usher | grep libsystemd",
             timeout=600)
