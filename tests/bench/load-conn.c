/*
 * load-conn - connections: connect, read until the peer closes, again.
 *
 * -n N are in flight at a time; each one's time from connect to end of file
 * is kept. -s first sends three bytes and, once they have come back, closes.
 * Every failure counts as an error: a refused or reset connection, an answer
 * that is not as long as -x says (0: any answer). -R N starts so many a second
 * instead of as many as can be.
 */
#include "bench.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define NS 1000000000ULL

struct slot {
	int fd;
	uint64_t start;
	size_t got;
	bool sent;
};

struct load {
	struct window w;
	struct where to;
	int ep;
	size_t expect;
	bool send;
	uint64_t rate, next; /* a second; when the next one may start */
	struct slot **idle; /* slots that wait for their time */
	size_t idles;
};

static void begin(struct load *l, struct slot *s)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = s};

	s->got = 0;
	s->sent = false;
	s->start = now_ns();
	s->fd = dial(&l->to, SOCK_NONBLOCK);
	if (s->fd < 0) {
		window_error(&l->w, -s->fd);
		l->idle[l->idles++] = s; /* tried again in the next turn */
		return;
	}
	if (l->send)
		ev.events |= EPOLLOUT;
	epoll_ctl(l->ep, EPOLL_CTL_ADD, s->fd, &ev);
}

static void again(struct load *l, struct slot *s)
{
	close(s->fd);
	if (l->rate)
		l->idle[l->idles++] = s;
	else
		begin(l, s);
}

static void fail(struct load *l, struct slot *s, int error)
{
	window_error(&l->w, error);
	again(l, s);
}

static void done(struct load *l, struct slot *s)
{
	if (l->expect && s->got != l->expect) {
		fail(l, s, -1);
		return;
	}
	window_timed(&l->w, s->start);
	again(l, s);
}

static void on_writable(struct load *l, struct slot *s)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = s};

	if (send(s->fd, "ok\n", 3, MSG_NOSIGNAL) != 3) {
		fail(l, s, errno);
		return;
	}
	s->sent = true;
	epoll_ctl(l->ep, EPOLL_CTL_MOD, s->fd, &ev);
}

static void on_readable(struct load *l, struct slot *s)
{
	char buf[4096];
	ssize_t n;

	while ((n = read(s->fd, buf, sizeof(buf))) > 0) {
		s->got += (size_t)n;
		if (l->send && s->got >= l->expect)
			break;
	}
	if (n >= 0)
		done(l, s);
	else if (errno != EAGAIN)
		fail(l, s, errno);
}

/* Starts what may start now; returns the milliseconds until more may. */
static int start_due(struct load *l)
{
	uint64_t now = now_ns();

	while (l->idles && (!l->rate || l->next <= now)) {
		struct slot *s = l->idle[--l->idles];

		if (l->rate)
			l->next += NS / l->rate;
		begin(l, s);
		if (s->fd < 0)
			break;
	}
	if (l->rate && l->idles && l->next > now)
		return (int)((l->next - now) / 1000000);
	return l->idles ? 0 : 20;
}

static void turn(struct load *l, int ms)
{
	struct epoll_event ev[64];
	int n = epoll_wait(l->ep, ev, ARRAY_SIZE(ev), ms);

	for (int i = 0; i < n; i++) {
		struct slot *s = ev[i].data.ptr;

		if (l->send && !s->sent && (ev[i].events & EPOLLOUT))
			on_writable(l, s);
		else
			on_readable(l, s);
	}
}

static void run(struct load *l, size_t n)
{
	struct slot *slots = calloc(n, sizeof(*slots));

	l->idle = calloc(n, sizeof(*l->idle));
	if (!slots || !l->idle)
		die("calloc");
	for (size_t i = 0; i < n; i++)
		l->idle[l->idles++] = &slots[i];
	window_open(&l->w);
	l->next = now_ns();
	while (window_tick(&l->w))
		turn(l, start_due(l));
	window_print(&l->w);
}

int main(int argc, char **argv)
{
	static struct load l = {.expect = 3};
	const char *address = NULL;
	size_t n = 16;
	int option;

	while ((option = getopt(argc, argv, WINDOW_OPTIONS "a:n:x:R:s")) !=
	       -1) {
		if (option == 'a')
			address = optarg;
		else if (option == 'n')
			n = number(optarg);
		else if (option == 'x')
			l.expect = number(optarg);
		else if (option == 'R')
			l.rate = number(optarg);
		else if (option == 's')
			l.send = true;
		else if (!window_option(&l.w, option, optarg))
			die("load-conn -a ADDRESS [-n N] [-x BYTES] [-R RATE] "
			    "[-s]");
	}
	errno = 0;
	if (!address)
		die("load-conn: -a ADDRESS");
	all_descriptors();
	l.to = where(address);
	l.ep = epoll_create1(EPOLL_CLOEXEC);
	run(&l, n);
	return 0;
}
