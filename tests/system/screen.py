"""A terminal for programs that draw: what is on it, as rows of text.

    with Screen([BINARY, "top"], env, 80, 24) as screen:
        wait_for(lambda: "SERVICE" in screen.rows()[2])
        screen.type("q")

Knows what ncurses sends to TERM=xterm and no more; another sequence fails.
"""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios

from harness import popen, stopped

SEQUENCE = re.compile(
    r"\x1b(?:\[([?>]?)([\d;]*)([A-Za-z@])|[()][0-9A-B]|[78=>M]|\](?:[^\a])*\a)")


class Screen:
    def __init__(self, command, env, width, height):
        self.width, self.height = width, height
        self.fd, other = pty.openpty()
        self.size(width, height)
        self.process = popen(command, stdin=other, stdout=other,
                             stderr=subprocess.STDOUT, start_new_session=True,
                             env=dict(env, TERM="xterm-256color",
                                      LC_ALL="C.UTF-8"))
        os.close(other)
        self.pending = b""
        self.clear()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        stopped(self.process)
        os.close(self.fd)

    def size(self, width, height):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ,
                    struct.pack("HHHH", height, width, 0, 0))

    def resize(self, width, height):
        self.width, self.height = width, height
        self.clear()
        self.size(width, height)
        self.process.send_signal(signal.SIGWINCH)

    def clear(self):
        self.cells = [[(" ", "")] * self.width for _ in range(self.height)]
        self.x = self.y = 0
        self.top, self.bottom = 0, self.height
        self.look, self.last = "", " "

    def type(self, text):
        os.write(self.fd, text.encode())

    def rows(self):
        """What is on it now, without blanks at the end."""
        self.read()
        return ["".join(c for c, _ in row).rstrip() for row in self.cells]

    def looks(self, y):
        """How the first place of row Y looks: the numbers of its SGR."""
        return self.cells[y][0][1]

    def read(self):
        while select.select([self.fd], [], [], 0)[0]:
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                data = b""              # nobody has the other end
            if not data:
                return
            self.take(self.pending + data)

    def take(self, data):
        text = data.decode(errors="surrogateescape")
        at = 0
        while at < len(text):
            if text[at] == "\x1b":
                found = SEQUENCE.match(text, at)
                if not found and len(text) - at < 16:
                    break
                assert found, repr(text[at:at + 20])
                if found.group(3):
                    self.control(*found.groups())
                elif found.group() == "\x1bM":
                    if self.y == self.top:
                        self.scroll(self.top, -1)
                    else:
                        self.y -= 1
                at = found.end()
            elif "\udc80" <= text[at] <= "\udcff" and len(text) - at < 4:
                break
            else:
                self.put(text[at])
                at += 1
        self.pending = text[at:].encode(errors="surrogateescape")

    def put(self, char):
        if char == "\r":
            self.x = 0
        elif char == "\n":
            if self.y == self.bottom - 1:
                self.scroll(self.top, 1)
            else:
                self.y = min(self.y + 1, self.height - 1)
        elif char == "\b":
            self.x = max(self.x - 1, 0)
        elif char >= " ":
            if self.x < self.width and self.y < self.height:
                self.cells[self.y][self.x] = (char, self.look)
            self.x += 1
            self.last = char

    def control(self, private, numbers, letter):
        first, *more = [int(n or 0) for n in numbers.split(";")]
        n = max(first, 1)
        if private or letter in "hlt":
            return
        if letter == "m":
            self.look = "" if numbers in ("", "0") else \
                f"{self.look};{numbers}"
        elif letter == "H":
            self.y, self.x = n - 1, max(more[0] if more else 1, 1) - 1
        elif letter in "ABCD":
            self.y += {"A": -n, "B": n}.get(letter, 0)
            self.x += {"C": n, "D": -n}.get(letter, 0)
        elif letter == "d":
            self.y = n - 1
        elif letter == "G":
            self.x = n - 1
        elif letter == "J":
            self.fill(self.x, self.width, self.y)
            for y in range(self.y + 1, self.height):
                self.fill(0, self.width, y)
        elif letter == "K":
            self.fill(*((0, self.x + 1) if first == 1 else
                        (self.x, self.width)), self.y)
        elif letter == "X":
            self.fill(self.x, self.x + n, self.y)
        elif letter == "r":
            self.top = n - 1
            self.bottom = more[0] if more and more[0] else self.height
            self.x = self.y = 0
        elif letter in "LMST":
            self.scroll(self.y if letter in "LM" else self.top,
                        n if letter in "MS" else -n)
        elif letter == "b":
            for _ in range(n):
                self.put(self.last)
        elif letter in "P@":
            row = self.cells[self.y]
            blank = [(" ", "")] * n
            self.cells[self.y] = (
                row[:self.x] + row[self.x + n:] + blank if letter == "P" else
                row[:self.x] + blank + row[self.x:])[:self.width]
        else:
            raise AssertionError(f"CSI {numbers} {letter}")

    def scroll(self, top, n):
        """The rows from TOP to the region's end go up by N, or down."""
        rows = self.cells[top:self.bottom]
        n = max(-len(rows), min(n, len(rows)))
        blank = [[(" ", "")] * self.width for _ in range(abs(n))]
        self.cells[top:self.bottom] = rows[n:] + blank if n > 0 else \
            blank + rows[:len(rows) + n]

    def fill(self, begin, end, y):
        for x in range(begin, min(end, self.width)):
            self.cells[y][x] = (" ", "")
