"""Workers that accept for themselves: systemd's descriptors, inetd's wait,
FastCGI's; started when something arrives, as many as are wanted, rolled."""
import threading

from harness import Daemon, connect, receive_all, wait_for

timeout = 120

CONF = """
[defaults]
settle = 0

[service many]
handoff = share
listen = tcp:127.0.0.1:@PORT@ name=web
listen = unix:@DIR@/many name=local
exec = /usr/bin/python3 @TESTS@/share_worker.py systemd
workers = 2

[service demand]
handoff = share
listen = unix:@DIR@/demand
exec = /usr/bin/python3 @TESTS@/share_worker.py stay
workers = 0-5
idle_timeout = 400ms

[service plain]
handoff = share
listen = unix:@DIR@/plain
exec = /usr/bin/python3 @TESTS@/share_worker.py plain

[service wait]
listen = unix:@DIR@/wait
exec = /usr/bin/python3 @TESTS@/share_worker.py wait
protocol = wait

[service fast]
listen = unix:@DIR@/fast
exec = /usr/bin/python3 @TESTS@/share_worker.py stdin
protocol = fastcgi
workers = 2
"""

stop = threading.Event()
wrong = []


def load(address):
    while not stop.is_set():
        try:
            with connect(address, 60) as client:
                if not receive_all(client):
                    wrong.append("cut")
        except OSError as error:
            wrong.append(error)


with Daemon(CONF) as usher:
    for which in (0, 1):
        with usher.client("many", which) as client:
            text = receive_all(client).decode()
            assert "LISTEN_FDS=2 NAMES=web:local PID=own" in text, text
            assert "fds=0 1 2 3 4" in text, text

    # A door as inetd and systemd give it: accept waits.
    pids = set()
    for _ in range(3):
        with usher.client("plain") as client:
            pids.add(receive_all(client))
    assert len(pids) == 1 and pids != {b""}, pids

    assert usher.workers("demand") == []
    with usher.client("demand") as client:
        assert client.recv(100)
        assert len(usher.workers("demand")) == 1
    clients = [usher.client("demand") for _ in range(4)]
    pids = {client.recv(100) for client in clients}
    assert len(pids) == 4, pids
    for client in clients:
        client.close()
    wait_for(lambda: usher.workers("demand") == [], 60)

    for _ in range(3):
        assert usher.workers("wait") == []
        with usher.client("wait") as client:
            assert receive_all(client)
        wait_for(lambda: usher.workers("wait") == [])
    with usher.client("fast") as client:
        assert receive_all(client)

    address = usher.expand(usher.address("many"))
    threads = [threading.Thread(target=load, args=(address,))
               for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for number in range(2, 8):
            old = set(usher.workers("many"))
            usher.call("Roll", service="many", wait=True)
            assert usher.service("many")["generation"] == number
            wait_for(lambda old=old: not old & set(usher.workers("many")))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not wrong, wrong[:5]
