"""systemd's own varlinkctl (257), which knows nothing of usher: info,
list-interfaces, list-methods, introspect, call, an error, and a stream."""
import json
import subprocess

from harness import BUILD, Daemon, stopped
from lab import Root

group = "peers"
roots = ["boot13"]
timeout = 120

CONF = """
[usher]
control = unix:@INSIDE@/control

[service hello]
listen = unix:@DIR@/hello
exec = /bin/cat
"""

assert BUILD
with Root("boot13") as root, \
        Daemon(CONF.replace("@INSIDE@", root.scratch)) as usher:
    def ctl(*words, status=0):
        done = root.run("varlinkctl", "--no-pager", *words, status=None)
        assert (done.returncode == 0) == (status == 0), done
        return done.stdout + done.stderr

    info = ctl("info", usher.control)
    assert "Product: usher" in info and "org.usher" in info, info
    info = json.loads(ctl("info", "--json=short", usher.control))
    assert info["interfaces"] == ["org.usher", "org.varlink.service"], info
    found = ctl("list-interfaces", usher.control).split()
    assert found == ["org.usher", "org.varlink.service"], found
    methods = ctl("list-methods", usher.control).split()
    assert {"org.usher.Status", "org.usher.Monitor", "org.usher.Adopt",
            "org.varlink.service.GetInfo"} <= set(methods), methods

    # It reads the interface: what it does not understand it complains of.
    text = ctl("introspect", usher.control, "org.usher")
    assert "method Status" in text and "error NoSuchService" in text, text
    with open(f"{root.scratch}/org.usher.varlink", "w",
              encoding="utf-8") as file:
        file.write(usher.call(
            "org.varlink.service.GetInterfaceDescription",
            interface="org.usher")["description"])
    ctl("validate-idl", f"{root.scratch}/org.usher.varlink")

    reply = json.loads(ctl("call", "--json=short", usher.control,
                           "org.usher.Status", '{"service":"hello"}'))
    assert reply["services"][0]["name"] == "hello", reply
    assert "paused" in ctl("call", usher.control, "org.usher.Pause",
                           '{"service":"hello"}')
    assert usher.service("hello")["state"] == "paused"
    text = ctl("call", usher.control, "org.usher.Pause",
               '{"service":"nobody"}', status=1)
    assert "org.usher.NoSuchService" in text, text
    text = ctl("call", usher.control, "org.usher.Pause", "{}", status=1)
    assert "InvalidParameter" in text or "Invalid argument" in text, text

    stream = root.popen("varlinkctl", "call", "--more", "--json=short",
                        usher.control, "org.usher.Monitor", "{}",
                        stdout=subprocess.PIPE, text=True)
    assert "begin" in stream.stdout.readline()
    usher.call("Resume", service="hello")
    for line in stream.stdout:
        if '"state":"running"' in line:
            break
    stopped(stream)
    stream.stdout.close()
