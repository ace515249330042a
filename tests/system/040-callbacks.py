"""No callback takes long: a thousand services are looked at, reloaded, rolled,
upgraded and shut down while doors are busy, and a debug build says which
callback took over 1 ms. Here ten are allowed, for a machine with much to do;
tests/soak/040 looks for one, in all tests."""
import re
import threading

from harness import Control, Daemon, receive_all

timeout = 120
MANY = 1000
BOUND_US = 10000
CONF = """
[usher]
log_level = debug
spool = @DIR@/spool

[service pass]
listen = unix:@DIR@/pass
handoff = pass
workers = 2
exec = /usr/bin/python3 @TESTS@/pass_worker.py hello
environment = VERSION=%d

[service spawn]
listen = unix:@DIR@/spawn
exec = /bin/echo served

[service job]
trigger = fifo:job
exec = /bin/true
""" + "".join(f"""
[service s{i}]
listen = unix:@DIR@/s{i}
exec = /bin/cat
""" for i in range(MANY))

stop = threading.Event()


def load(service):
    while not stop.is_set():
        with usher.client(service) as client:
            assert receive_all(client)


def slow():
    """Those of usher's own time: the rest was others'."""
    return [f"{name} took {us} us" for name, us in re.findall(
        r"loop: (\S.*) took \d+ us \((\d+) of its own\)", usher.log)
            if int(us) > BOUND_US]


with Daemon(CONF % 1, fds=False) as usher:
    threads = [threading.Thread(target=load, args=(name,))
               for name in ("pass", "spawn")]
    for thread in threads:
        thread.start()
    for _ in range(2):
        usher.call("Status")
    usher.call("GetMetrics")
    usher.call("Connections")
    usher.call("Plan")
    # Many clients with many calls each.
    controls = [Control(usher.control) for _ in range(50)]
    for control in controls:
        for i in range(10):
            control.send("Status", service=f"s{i}")
    for control in controls:
        for i in range(10):
            control.reply()
        control.sock.close()
    usher.write(CONF % 2)
    usher.run("reload", "--wait")
    usher.run("trigger", "job")
    usher.run("roll", "pass", "--wait")
    usher.run("upgrade")
    usher.call("Status")
    stop.set()
    for thread in threads:
        thread.join()
    assert usher.stop() == 0
    assert not slow(), slow()   # a build that does not look has none
