"""Starman as Server::Starter would start it, rolled without a lost request."""
from harness import Daemon, connect, receive_all, wait_for
from lab import Root

roots = ["peers"]
root = True
group = "peers"
timeout = 120

CONF = """
[service plack]
listen = tcp:127.0.0.1:@PORT@
exec = /usr/bin/starman --workers 1 --preload-app /srv/app.psgi
protocol = server-starter
ready = after:1s
settle = 500ms
stop_signal = SIGQUIT
"""

APP = """
my $n = $ENV{SERVER_STARTER_GENERATION};
sub { [200, ['Content-Type' => 'text/plain'], ["generation $n"]] };
"""


def get(door):
    with connect(door) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = receive_all(client)
    assert b"200 OK" in answer, answer
    return answer.rpartition(b"\r\n\r\n")[2]


with Root("peers") as peers:
    peers.write("/srv/app.psgi", APP)
    with Daemon(CONF, root=peers, fds=False) as usher:
        door = usher.address("plack")
        assert get(door) == b"generation 1"
        usher.call("Roll", service="plack", wait=True)
        seen = set()

        cut = []

        def settled():
            try:
                seen.add(get(door))
            except AssertionError:
                cut.append(door)
                # Starman's process may be told to go between its accept and
                # the first line that it reads; usher has no hand in that.
                if len(cut) > 1:
                    raise
            return len(usher.workers("plack")) == 1
        wait_for(settled)
        assert get(door) == b"generation 2"
        assert seen <= {b"generation 1", b"generation 2"}, seen
