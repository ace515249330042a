"""A backend that takes its time: slow_backend.py ADDRESS SECONDS [FILE].
Appends a line to FILE when it starts; answers each connection with its pid
and a line's end, then echoes. SIGTERM: it stops at once."""
import os
import signal
import socket
import socketserver
import sys
import time

address, seconds = sys.argv[1], float(sys.argv[2])
if len(sys.argv) > 3:
    with open(sys.argv[3], "a", encoding="ascii") as file:
        file.write(f"{os.getpid()}\n")
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
time.sleep(seconds)


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        try:
            self.request.sendall(b"%d\n" % os.getpid())
            while data := self.request.recv(65536):
                self.request.sendall(data)
        except OSError:
            pass        # a probe does not wait for the greeting


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    request_queue_size = 100
    allow_reuse_address = True
    daemon_threads = True


kind, _, rest = address.partition(":")
if kind == "unix":
    Server.address_family = socket.AF_UNIX
    if os.path.exists(rest):
        os.unlink(rest)
    server = Server(rest, Echo)
else:
    host, _, port = rest.rpartition(":")
    server = Server((host, int(port)), Echo)
server.serve_forever(0.1)
