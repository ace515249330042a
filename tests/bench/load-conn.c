/*
 * load-conn - connections: connect, read until the peer closes, again.
 *
 * -n N are in flight at a time; each one's time from connect to end of file
 * is kept. -s first sends three bytes and, once they have come back, closes.
 * Every failure counts as an error: a refused or reset connection, an answer
 * that is not as long as -x says (0: any answer). -R N starts so many a second
 * instead of as many as can be. -i goes on until standard input ends, says
 * "ready" after the first answer, and waits at the end for each connection
 * that is in flight: none may be without an answer. With -z who is refused, or
 * finds no path, tries again: there may be nobody for a while.
 */
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define NS 1000000000ULL
#define PATIENCE (10 * NS) /* for the last answers */

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
	bool to_eof, over; /* until standard input ends, which it did */
	bool insist; /* until somebody listens */
	uint64_t rest; /* nobody did: when to try again */
	uint64_t rate, next; /* a second; when the next one may start */
	struct slot **idle; /* slots that wait for their time */
	size_t idles;
};

static void failed(struct load *l, int error)
{
	if (l->insist && (error == ECONNREFUSED || error == ENOENT))
		l->rest = now_ns() + NS / 500;
	else
		window_error(&l->w, error);
}

static void begin(struct load *l, struct slot *s)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = s};

	s->got = 0;
	s->sent = false;
	s->start = now_ns();
	s->fd = dial(&l->to, SOCK_NONBLOCK);
	if (s->fd < 0) {
		failed(l, -s->fd);
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
	if (l->rate || l->to_eof)
		l->idle[l->idles++] = s;
	else
		begin(l, s);
}

static void fail(struct load *l, struct slot *s, int error)
{
	failed(l, error);
	again(l, s);
}

static void done(struct load *l, struct slot *s)
{
	if ((l->expect && s->got != l->expect) || (l->to_eof && !s->got)) {
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

	if (now < l->rest)
		return 2;
	while (l->idles && (!l->rate || l->next <= now)) {
		struct slot *s = l->idle[--l->idles];

		if (l->rate)
			l->next += NS / l->rate;
		begin(l, s);
		if (s->fd < 0)
			break;
	}
	/* Whoever loads for long sleeps, and starts two at once then. */
	if (l->rate && l->idles && l->next > now)
		return (int)((l->next - now) / 1000000) + l->to_eof;
	return l->idles ? 0 : 20;
}

static void turn(struct load *l, int ms)
{
	struct epoll_event ev[64];
	int n = epoll_wait(l->ep, ev, ARRAY_SIZE(ev), ms);

	for (int i = 0; i < n; i++) {
		struct slot *s = ev[i].data.ptr;

		if (!s) /* standard input */
			l->over = true;
		else if (l->send && !s->sent && (ev[i].events & EPOLLOUT))
			on_writable(l, s);
		else
			on_readable(l, s);
	}
}

static void run_window(struct load *l)
{
	window_open(&l->w);
	l->next = now_ns();
	while (window_tick(&l->w))
		turn(l, start_due(l));
}

static void run_to_eof(struct load *l, size_t n)
{
	struct epoll_event ev = {.events = EPOLLIN};
	bool told = false;
	uint64_t end;

	epoll_ctl(l->ep, EPOLL_CTL_ADD, STDIN_FILENO, &ev);
	l->w.begin = l->next = now_ns();
	while (!l->over) {
		turn(l, start_due(l));
		if (!told && l->w.units) {
			printf("ready\n");
			fflush(stdout);
			told = true;
		}
	}
	epoll_ctl(l->ep, EPOLL_CTL_DEL, STDIN_FILENO, &ev);
	l->w.end = now_ns();
	end = l->w.end + PATIENCE;
	while (l->idles < n && now_ns() < end)
		turn(l, 20);
	for (size_t left = n - l->idles; left; left--)
		window_error(&l->w, ETIMEDOUT);
}

static void run(struct load *l, size_t n)
{
	struct slot *slots = calloc(n, sizeof(*slots));

	l->idle = calloc(n, sizeof(*l->idle));
	if (!slots || !l->idle)
		die("calloc");
	for (size_t i = 0; i < n; i++)
		l->idle[l->idles++] = &slots[i];
	if (l->to_eof)
		run_to_eof(l, n);
	else
		run_window(l);
	window_print(&l->w);
}

int main(int argc, char **argv)
{
	static struct load l = {.expect = 3};
	const char *address = NULL;
	size_t n = 16;
	int option;

	while ((option = getopt(argc, argv, WINDOW_OPTIONS "a:n:x:R:siz")) !=
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
		else if (option == 'i')
			l.to_eof = true;
		else if (option == 'z')
			l.insist = true;
		else if (!window_option(&l.w, option, optarg))
			die("load-conn -a ADDRESS [-n N] [-x BYTES] [-R RATE] "
			    "[-s] [-i] [-z]");
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
