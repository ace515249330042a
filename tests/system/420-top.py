"""usher top in a terminal of 80 x 24 and others: columns that stand below each
other, long names that can be told apart, the worst first and in red; sorted,
paused, scrolled, resized; a curve where something happens; a daemon that goes
and comes back. usher status uses what the terminal has."""
import re

from harness import BINARY, Daemon, wait_for
from screen import Screen

timeout = 120

CONF = """
[service broken]
listen = unix:@DIR@/broken
exec = /bin/false
handoff = pass
""" + "".join(f"""
[service a-service-with-quite-a-long-name-{i:02}]
listen = unix:@DIR@/{i:02}
builtin = discard
""" for i in range(40))


def columns(line):
    """Where each word of the heading ends."""
    return [m.end() for m in re.finditer(r"\S+", line)]


def table(rows):
    return [row for row in rows[3:-1] if row]


def check_table(rows, width):
    """Every number ends where its heading does; the names differ."""
    assert max(map(len, rows)) <= width, rows
    ends = columns(rows[2])[2:]
    for row in table(rows):
        for end in ends:
            assert row[end - 1] != " " and row[end:end + 1] in ("", " "), \
                (row, end)
    names = [row.split()[0] for row in table(rows)]
    assert len(set(names)) == len(names), names


with Daemon(CONF, fds=False) as usher:
    usher.wait_state("broken", "degraded")
    with Screen([BINARY, "top"], usher.environment(), 80, 24) as top:
        wait_for(lambda: "1-20 of 41" in top.rows()[-1])
        rows = top.rows()
        assert rows[0].startswith("usher "), rows
        assert rows[1].startswith("41 services, 1 degraded: broken: "), rows
        assert rows[2].split() == ["SERVICE", "STATE", "GEN", "WORKERS",
                                   "QUEUE", "CONN/S", "REFUSED", "SINCE"]
        assert rows[3].split()[:2] == ["broken", "degraded"], rows
        assert "31" in top.looks(3) and "31" not in top.looks(4), \
            (top.looks(3), top.looks(4))
        check_table(rows, 80)

        # Something happens: it is at the top by rate, with a curve.
        busy = "a-service-with-quite-a-long-name-17"
        top.type("c")

        def curve():
            usher.client(busy).close()
            row = top.rows()[3]
            return "~" in row and row.split()[0].endswith("-17") and \
                any(c in row for c in "▁▂▃▄▅▆▇█")
        wait_for(curve)
        assert "by rate" in top.rows()[-1]
        check_table(top.rows(), 80)

        # Paused it stands, and is sorted all the same.
        top.type(" ")
        wait_for(lambda: "PAUSED" in top.rows()[0])
        top.type("n")
        wait_for(lambda: "by name" in top.rows()[-1])
        assert top.rows()[3].split()[0].endswith("-00"), top.rows()
        top.type("\x1b[6~")             # page down
        wait_for(lambda: "21-40 of 41" in top.rows()[-1])
        assert top.rows()[3].split()[0].endswith("-20"), top.rows()
        top.type("\x1b[5~jj")
        wait_for(lambda: "3-22 of 41" in top.rows()[-1])
        top.type("kk W")
        wait_for(lambda: "PAUSED" not in top.rows()[0] and
                 "by worst" in top.rows()[-1])

        # A wide one shows whole names; a tiny one does not tear.
        top.resize(200, 50)
        wait_for(lambda: "1-41 of 41" in top.rows()[-1])
        assert busy in [row.split()[0] for row in table(top.rows())]
        check_table(top.rows(), 200)
        for width, height in ((40, 10), (10, 3), (1, 1)):
            top.resize(width, height)
            wait_for(lambda: top.rows()[0].startswith("us"[:width]))
        top.resize(80, 24)
        wait_for(lambda: "1-20 of 41" in top.rows()[-1])
        check_table(top.rows(), 80)

        # The daemon goes, and comes back.
        usher.stop()
        wait_for(lambda: "DAEMON" in top.rows()[0])
        usher.start()
        wait_for(lambda: "DAEMON" not in top.rows()[0])
        top.type("q")
        assert top.process.wait(20) == 0

    # Told once, it takes what the terminal has, and 80 elsewhere.
    lines = usher.run("status").stdout.splitlines()
    assert max(map(len, lines)) == 80, lines
    assert len({line.split()[0] for line in lines[2:]}) == 41, lines
    with Screen([BINARY, "status"], usher.environment(), 120, 50) as screen:
        assert screen.process.wait(20) == 0
        rows = screen.rows()
        assert busy in [row.split()[0] for row in rows if row], rows
