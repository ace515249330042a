"""every fires the own door of a Postfix service with W: on a FIFO the message
alone, on a stream with its NUL, and the connection stays until it is read."""
from harness import Daemon

parallel = True

CONF = """
[service fifo]
listen = fifo:@DIR@/fifo
exec = /usr/bin/python3 -c 'import os; print("got", os.read(6, 100))'
protocol = postfix
workers = 0-1
every = 300ms

[service stream]
listen = unix:@DIR@/stream
exec = /usr/bin/python3 -c 'import os, socket;
\tc = socket.socket(fileno=6).accept()[0]; c.settimeout(5);
\tprint("got", c.recv(100), os.environ["GENERATION"], flush=True)'
protocol = postfix
workers = 0-1
every = 300ms
"""

with Daemon(CONF.replace("\n\t", " "), fds=False) as usher:
    usher.wait_log(r"fifo\[\d+\]: got b'W'$")
    usher.wait_log(r"stream\[\d+\]: got b'W\\x00' \d+$")
