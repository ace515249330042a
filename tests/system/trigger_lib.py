"""What the tests of triggers share: what the runs of a service wrote down."""
import os


def lines(path):
    """The whole lines of a file; none while it is not there."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().split("\n")[:-1]
    except FileNotFoundError:
        return []


def put(path, data):
    """One write into a FIFO that somebody reads, then it is closed."""
    fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    try:
        assert os.write(fd, data) == len(data)
    finally:
        os.close(fd)
