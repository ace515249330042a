/*
 * load-bulk - large streams through a relay: -n N of them, -d down, up or
 * both; a unit of work is a byte.
 *
 * Down is counted as it arrives here. Up is counted as it is taken from here:
 * what lies in buffers is less than a thousandth of a window's bytes.
 */
#include "bench.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static char buf[256 * 1024];

static void move(struct window *w, int fd, uint32_t events)
{
	ssize_t n = 0, m = 0;

	if (events & EPOLLIN)
		n = recv(fd, buf, sizeof(buf), MSG_TRUNC | MSG_DONTWAIT);
	if (events & EPOLLOUT)
		m = send(fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_NOSIGNAL);
	if (((events & EPOLLIN) && n == 0) || (n < 0 && errno != EAGAIN) ||
	    (m < 0 && errno != EAGAIN)) {
		window_error(w, n == 0 ? ECONNRESET : errno);
		close(fd);
		return;
	}
	window_count(w, (uint64_t)((n > 0 ? n : 0) + (m > 0 ? m : 0)));
}

static void run(struct window *w, const struct where *to, unsigned n,
		uint32_t events)
{
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event evs[64];

	while (n--) {
		struct epoll_event ev = {.events = events};

		ev.data.fd = dial(to, 0);
		if (ev.data.fd < 0)
			die("connect");
		epoll_ctl(ep, EPOLL_CTL_ADD, ev.data.fd, &ev);
	}
	window_open(w);
	while (window_tick(w)) {
		int k = epoll_wait(ep, evs, ARRAY_SIZE(evs), 20);

		for (int i = 0; i < k; i++)
			move(w, evs[i].data.fd, evs[i].events);
	}
	window_print(w);
}

static uint32_t direction(const char *name)
{
	if (strcmp(name, "down") == 0)
		return EPOLLIN;
	if (strcmp(name, "up") == 0)
		return EPOLLOUT;
	return EPOLLIN | EPOLLOUT;
}

int main(int argc, char **argv)
{
	static struct window w;
	const char *address = NULL;
	uint32_t events = EPOLLIN;
	struct where to;
	unsigned n = 1;
	int option;

	while ((option = getopt(argc, argv, WINDOW_OPTIONS "a:n:d:")) != -1) {
		if (option == 'a')
			address = optarg;
		else if (option == 'n')
			n = (unsigned)number(optarg);
		else if (option == 'd')
			events = direction(optarg);
		else if (!window_option(&w, option, optarg))
			die("load-bulk -a ADDRESS [-n N] [-d down|up|both]");
	}
	errno = 0;
	if (!address)
		die("load-bulk: -a ADDRESS");
	all_descriptors();
	to = where(address);
	run(&w, &to, n, events);
	return 0;
}
