"""Rolls, one after the other, by SIGHUP of `usher run`, under steady load."""
import re
import signal
import threading

from harness import BINARY, Daemon, connect, receive_all, wait_for

LEAST = 3


def ready_of(state):
    return [w for w in state["workers"] if w["state"] in ("idle", "busy")]


def storm(rolls, handoff, worker):
    """ROLLS of workers that are handed connections by HANDOFF: no connection
    refused or cut, never fewer than LEAST ready."""
    stop = threading.Event()
    wrong, served = [], [0] * 4

    def load(address, which):
        while not stop.is_set():
            try:
                with connect(address, 60) as client:
                    if receive_all(client):
                        served[which] += 1
                    else:
                        wrong.append("cut")
            except OSError as error:
                wrong.append(error)

    with Daemon("", command=[
            BINARY, "run", "-l", "unix:@DIR@/door", "--handoff", handoff,
            "-n", str(LEAST), "--set", "settle=0", "--set", "ready=notify",
            "--set", "max_generations=20",
            "--", "/usr/bin/python3", *f"@TESTS@/{worker}".split()],
            fds=False) as usher:
        name = find_service(usher)
        usher.wait_state(name, "running")
        wait_for(lambda: len(ready_of(usher.service(name))) == LEAST)
        threads = [threading.Thread(target=load, args=(
            usher.expand("unix:@DIR@/door"), i)) for i in range(len(served))]
        for thread in threads:
            thread.start()
        try:
            for number in range(2, rolls + 2):
                usher.signal(signal.SIGHUP)

                def rolled():
                    state = usher.service(name)
                    assert len(ready_of(state)) >= LEAST, state
                    return state["generation"] >= number and \
                        state["state"] == "running"
                wait_for(rolled)
                assert not wrong, wrong[:5]
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert not wrong, wrong[:5]
        assert sum(served) > rolls, served
        assert sum(usher.service(name)["refused"].values()) == 0
        print(handoff, rolls, "rolls", sum(served), "served")


def find_service(usher):
    """`usher run` has a control socket of its own, and one service."""
    usher.control = re.search(r"control socket (\S+)", usher.log).group(1)
    return usher.call("Status")["services"][0]["name"]
