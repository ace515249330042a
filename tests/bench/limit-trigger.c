/*
 * limit-trigger - counts triggers and does nothing with them: FIFO, Unix
 * datagram, Unix or TCP stream, by the address.
 *
 * SIGTERM ends it; it then prints how many it has seen.
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

static char buf[64 * 1024];
static unsigned long long seen;
static volatile sig_atomic_t stop;

typedef void read_fn(int fd);

static void read_fifo(int fd)
{
	ssize_t n = read(fd, buf, sizeof(buf));

	for (char *p = buf;
	     n > 0 && (p = memchr(p, '\n', (size_t)(buf + n - p))); p++)
		seen++;
}

static void read_datagrams(int fd)
{
	while (recv(fd, buf, sizeof(buf), 0) >= 0)
		seen++;
}

/* The client has mostly written by now; a blocking read serves for the rest. */
static void read_streams(int fd)
{
	int client;

	while ((client = accept4(fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		seen += read(client, buf, sizeof(buf)) > 0;
		close(client);
	}
}

static int fifo(const struct where *w)
{
	int fd;

	unlink(w->path);
	if (mkfifo(w->path, 0622) < 0)
		die("%s", w->path);
	fd = open(w->path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		die("%s", w->path);
	return fd;
}

static void on_term(int sig)
{
	(void)sig;
	stop = 1;
}

int main(int argc, char **argv)
{
	struct epoll_event ev = {.events = EPOLLIN};
	struct sigaction sa = {.sa_handler = on_term};
	read_fn *reader = read_fifo;
	struct where w;
	int fd, ep = epoll_create1(EPOLL_CLOEXEC);

	errno = 0;
	if (argc != 3 || strcmp(argv[1], "-a"))
		die("limit-trigger -a ADDRESS");
	w = where(argv[2]);
	fd = w.family ? door(argv[2], SOCK_NONBLOCK) : fifo(&w);
	if (w.type == SOCK_DGRAM)
		reader = read_datagrams;
	else if (w.type == SOCK_STREAM)
		reader = read_streams;
	sigaction(SIGTERM, &sa, NULL);
	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
	while (!stop) {
		if (epoll_wait(ep, &ev, 1, -1) == 1)
			reader(fd);
	}
	printf("{\"seen\": %llu}\n", seen);
	return 0;
}
