/*
 * load-ping - messages of 64 bytes on N connections: each is sent when the
 * one before has come back; its time there and back is kept. What is still
 * under way when the window ends is waited for, and its time counts: else who
 * never answers some of the connections would be the fastest.
 *
 * With -i the connections are only opened, each proved by one message, and
 * held: it prints {"open": N} and waits for the end of standard input.
 */
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define SIZE 64

struct ping {
	int fd;
	size_t got;
	uint64_t start;
};

static void ping_send(struct window *w, struct ping *p)
{
	static const char message[SIZE];

	p->got = 0;
	p->start = now_ns();
	if (send(p->fd, message, SIZE, MSG_NOSIGNAL) != SIZE)
		window_error(w, errno);
}

/* Reads; true when the whole message is back. */
static bool ping_back(struct window *w, struct ping *p)
{
	char buf[SIZE];
	ssize_t n = recv(p->fd, buf, SIZE - p->got, MSG_DONTWAIT);

	if (n > 0) {
		p->got += (size_t)n;
		return p->got == SIZE;
	}
	if (n == 0 || errno != EAGAIN) {
		window_error(w, n ? errno : ECONNRESET);
		close(p->fd);
	}
	return false;
}

static struct ping *open_all(int ep, const struct where *to, size_t n)
{
	struct ping *pings = calloc(n, sizeof(*pings));

	if (!pings)
		die("calloc");
	for (size_t i = 0; i < n; i++) {
		struct epoll_event ev = {.events = EPOLLIN,
					 .data.ptr = &pings[i]};
		int fd;

		/* A full backlog of a Unix socket: the peer needs a moment. */
		while ((fd = dial(to, 0)) == -EAGAIN)
			usleep(1000);
		if (fd < 0) {
			errno = -fd;
			die("connect");
		}
		pings[i].fd = fd;
		epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
	}
	return pings;
}

/* The window is over: nothing is sent any more. */
static void wait_for_rest(struct window *w, int ep, struct ping *pings,
			  size_t n)
{
	struct epoll_event evs[64];
	uint64_t until = now_ns() + 2000000000;
	size_t under_way = n - w->errors;

	while (under_way && now_ns() < until) {
		int k = epoll_wait(ep, evs, ARRAY_SIZE(evs), 20);

		for (int i = 0; i < k; i++) {
			struct ping *p = evs[i].data.ptr;

			if (!ping_back(w, p))
				continue;
			hist_add(&w->hist, now_ns() - p->start);
			p->start = 0;
			under_way--;
		}
	}
	for (size_t i = 0; i < n && under_way; i++)
		if (pings[i].start)
			hist_add(&w->hist, now_ns() - pings[i].start);
}

static void run(struct window *w, int ep, struct ping *pings, size_t n)
{
	struct epoll_event evs[64];

	window_open(w);
	for (size_t i = 0; i < n; i++)
		ping_send(w, &pings[i]);
	while (window_tick(w)) {
		int k = epoll_wait(ep, evs, ARRAY_SIZE(evs), 20);

		for (int i = 0; i < k; i++) {
			struct ping *p = evs[i].data.ptr;

			if (!ping_back(w, p))
				continue;
			window_timed(w, p->start);
			ping_send(w, p);
		}
	}
	wait_for_rest(w, ep, pings, n);
	window_print(w);
}

static void hold(struct window *w, int ep, struct ping *pings, size_t n)
{
	struct epoll_event evs[64];
	size_t back = 0;
	char c;

	for (size_t i = 0; i < n; i++)
		ping_send(w, &pings[i]);
	while (back < n && !w->errors) {
		int k = epoll_wait(ep, evs, ARRAY_SIZE(evs), -1);

		for (int i = 0; i < k; i++)
			back += ping_back(w, evs[i].data.ptr);
	}
	printf("{\"open\": %zu, \"errors\": %llu}\n", back,
	       (unsigned long long)w->errors);
	fflush(stdout);
	while (read(0, &c, 1) > 0)
		;
}

int main(int argc, char **argv)
{
	static struct window w;
	const char *address = NULL;
	struct where to;
	struct ping *pings;
	size_t n = 1;
	bool idle = false;
	int option, ep = epoll_create1(EPOLL_CLOEXEC);

	while ((option = getopt(argc, argv, WINDOW_OPTIONS "a:n:i")) != -1) {
		if (option == 'a')
			address = optarg;
		else if (option == 'n')
			n = number(optarg);
		else if (option == 'i')
			idle = true;
		else if (!window_option(&w, option, optarg))
			die("load-ping -a ADDRESS [-n N] [-i]");
	}
	errno = 0;
	if (!address)
		die("load-ping: -a ADDRESS");
	all_descriptors();
	to = where(address);
	pings = open_all(ep, &to, n);
	if (idle)
		hold(&w, ep, pings, n);
	else
		run(&w, ep, pings, n);
	return 0;
}
