"""What doc/examples shows works as it stands there: a C worker that speaks
Postfix's status, a shell worker, a server of binary structures."""
import os
import shutil
import struct
import subprocess

from harness import TOP, Daemon, connect, receive_all, skip, wait_for

EXAMPLES = os.path.join(TOP, "doc", "examples")

CONF = f"""
[service greet]
listen = tcp:127.0.0.1:@PORT@
exec = @DIR@/postfix-worker
protocol = postfix
workers = 0-3
settle = 0

[service shell]
listen = unix:@DIR@/shell
exec = {EXAMPLES}/worker.sh
trigger = fifo:@DIR@/again

[service binary]
listen = unix:@DIR@/binary
exec = @DIR@/binary-server
"""

compiler = shutil.which(os.environ.get("CC", "cc"))
if not compiler:
    skip("no C compiler")


def greet():
    client = connect(usher.address("greet"))
    line = client.recv(100)
    assert line.startswith(b"220 worker "), line
    return client, int(line.split()[2])


daemon = Daemon(CONF, fds=False)
for name in ("postfix-worker", "binary-server"):
    subprocess.run([compiler, "-Wall", "-Wextra", "-Werror", "-o",
                    os.path.join(daemon.dir, name),
                    os.path.join(EXAMPLES, name + ".c")], check=True)

with daemon as usher:
    # Nobody is there until somebody comes; a busy one makes another start.
    assert usher.service("greet")["workers"] == []
    first, one = greet()
    second, two = greet()
    assert one != two
    wait_for(lambda: [w["state"] for w in usher.service("greet")["workers"]]
             == ["busy", "busy"])
    first.sendall(b"hello\r\n")
    assert receive_all(first) == b"hello\r\n"
    wait_for(lambda: usher.service("greet")["served"] == 1)
    third, three = greet()
    assert three == one, (one, two, three)

    # A roll: the end of the status channel; who is busy finishes.
    usher.call("Roll", service="greet")
    wait_for(lambda: usher.service("greet")["generation"] == 2)
    fourth, four = greet()
    assert four not in (one, two)
    for client in (second, third, fourth):
        client.sendall(b"x")
        assert receive_all(client) == b"x"
    wait_for(lambda: {w["generation"]
                      for w in usher.service("greet")["workers"]} == {2})
    assert usher.service("greet")["gossip"] == 0

    with connect(usher.address("shell")) as client:
        client.sendall(b"one\ntwo\nquit\n")
        text = receive_all(client).decode()
    assert text == (f"hello uid {os.getuid()}, this is shell\n"
                    "you said: one\nyou said: two\nbye\n"), text
    with open(os.path.join(usher.dir, "again"), "w",
              encoding="ascii") as fifo:
        fifo.write("everything\n")
    usher.wait_log(r"shell\[\d+\]: run for 'everything'")

    with connect(usher.address("binary")) as client:
        for number in (3, 1 << 20):
            request = struct.pack(">IIQ", 0x55534852, number, number)
            client.sendall(request[:5])     # torn by the network
            client.sendall(request[5:])
            assert client.recv(100, 0x100) == struct.pack(
                ">IIQ", 0x55534852, number, number * number)
        client.sendall(b"x" * 16)
        assert client.recv(100) == b""
