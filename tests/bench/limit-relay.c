/*
 * limit-relay - bytes between two sockets: what a relay costs that does
 * nothing else.
 *
 * Each socket is added to epoll once, edge-triggered, and never touched
 * again. By read and write, or with -s by splice through a pipe of 256 KiB a
 * direction that is made with the connection. A short read means that the
 * socket is empty, no second read to hear EAGAIN; unless epoll told of the
 * end (EPOLLRDHUP), which it says once.
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define CHUNK (64 * 1024)
#define PIPE  (256 * 1024)

struct relay;

/* One direction: what was read and not yet written lies in REST or PIPE. */
struct flow {
	int from, to;
	int pipe[2];
	char *rest;
	size_t off, len;
	bool ending, eof, done;
};

/* epoll's data is the address of a side: it leads to its relay. */
struct side {
	struct relay *relay;
};

struct relay {
	struct side side[2];
	struct flow flow[2]; /* 0: from the client; 1: from the backend */
	struct relay *next_dead;
};

static struct where backend;
static bool by_splice;
static int ep;
static char chunk[CHUNK];

/* Both return 1: more to do; 0: wait for an edge; -1: broken. */
static int flush_rest(struct flow *f)
{
	ssize_t n;

	if (!f->len)
		return 1;
	if (by_splice)
		n = splice(f->pipe[0], NULL, f->to, NULL, f->len,
			   SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
	else
		n = send(f->to, f->rest + f->off, f->len, MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN ? 0 : -1;
	f->off += (size_t)n;
	f->len -= (size_t)n;
	if (f->len)
		return 0;
	free(f->rest);
	f->rest = NULL;
	return 1;
}

static int fill_pipe(struct flow *f)
{
	ssize_t n = splice(f->from, NULL, f->pipe[1], NULL, PIPE,
			   SPLICE_F_NONBLOCK | SPLICE_F_MOVE);

	if (n < 0)
		return errno == EAGAIN ? 0 : -1;
	f->len = (size_t)n;
	f->eof = n == 0;
	return 1;
}

static int move_chunk(struct flow *f)
{
	ssize_t n = recv(f->from, chunk, sizeof(chunk), 0), w = 0;

	if (n < 0)
		return errno == EAGAIN ? 0 : -1;
	f->eof = n == 0;
	if (n > 0)
		w = send(f->to, chunk, (size_t)n, MSG_NOSIGNAL);
	if (w < 0 && errno != EAGAIN)
		return -1;
	if (w < 0)
		w = 0;
	if (w < n) {
		f->off = 0;
		f->len = (size_t)(n - w);
		f->rest = malloc(f->len);
		if (!f->rest)
			die("malloc");
		memcpy(f->rest, chunk + w, f->len);
		return 0;
	}
	return f->eof || f->ending || n == (ssize_t)sizeof(chunk);
}

static int pump(struct flow *f)
{
	int r = 1;

	while (r > 0 && !f->done) {
		r = flush_rest(f);
		if (r <= 0)
			break;
		if (f->eof) {
			shutdown(f->to, SHUT_WR);
			f->done = true;
			break;
		}
		r = by_splice ? fill_pipe(f) : move_chunk(f);
	}
	return r;
}

static void relay_close(struct relay *r)
{
	for (int i = 0; i < 2; i++) {
		struct flow *f = &r->flow[i];

		if (f->from < 0)
			continue;
		close(f->from);
		free(f->rest);
		f->rest = NULL;
		if (by_splice) {
			close(f->pipe[0]);
			close(f->pipe[1]);
		}
	}
}

static void watch(struct relay *r, int i, int fd)
{
	struct epoll_event ev = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		.data.ptr = &r->side[i],
	};

	r->side[i].relay = r;
	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0)
		die("epoll_ctl");
}

static void flow_open(struct flow *f, int from, int to)
{
	f->from = from;
	f->to = to;
	if (!by_splice)
		return;
	if (pipe2(f->pipe, O_NONBLOCK | O_CLOEXEC) < 0)
		die("pipe");
	fcntl(f->pipe[0], F_SETPIPE_SZ, PIPE);
}

static void on_door(int listener)
{
	int client;

	while ((client = accept4(listener, NULL, NULL,
				 SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct relay *r = calloc(1, sizeof(*r));
		int server = dial(&backend, SOCK_NONBLOCK);

		if (!r || server < 0)
			die("relay");
		flow_open(&r->flow[0], client, server);
		flow_open(&r->flow[1], server, client);
		watch(r, 0, client);
		watch(r, 1, server);
	}
}

/* What SIDE can be read from, and what waited until it could be written to. */
static int on_side(struct side *s, uint32_t events)
{
	struct relay *r = s->relay;
	struct flow *from = &r->flow[s - r->side];
	struct flow *to = &r->flow[1 - (s - r->side)];

	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		from->ending = true;
	if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) &&
	    pump(from) < 0)
		return -1;
	if ((events & EPOLLOUT) && to->len && pump(to) < 0)
		return -1;
	return from->done && to->done ? -1 : 0;
}

/* A batch may hold both sides of a relay: it is freed after the batch. */
static void on_event(struct side *s, uint32_t events, struct relay **dead)
{
	struct relay *r = s->relay;

	if (r->flow[0].from < 0 || on_side(s, events) == 0)
		return;
	relay_close(r);
	r->flow[0].from = -1;
	r->next_dead = *dead;
	*dead = r;
}

static void serve(int listener)
{
	struct epoll_event evs[64], ev = {.events = EPOLLIN};

	epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev);
	for (;;) {
		int n = epoll_wait(ep, evs, ARRAY_SIZE(evs), -1);
		struct relay *dead = NULL, *next;

		for (int i = 0; i < n; i++) {
			struct side *s = evs[i].data.ptr;

			if (s)
				on_event(s, evs[i].events, &dead);
			else
				on_door(listener);
		}
		for (; dead; dead = next) {
			next = dead->next_dead;
			free(dead);
		}
	}
}

int main(int argc, char **argv)
{
	const char *address = NULL;
	int option;

	while ((option = getopt(argc, argv, "a:b:s")) != -1) {
		if (option == 'a')
			address = optarg;
		else if (option == 'b')
			backend = where(optarg);
		else if (option == 's')
			by_splice = true;
		else
			die("limit-relay -a ADDRESS -b BACKEND [-s]");
	}
	signal(SIGPIPE, SIG_IGN);
	all_descriptors();
	ep = epoll_create1(EPOLL_CLOEXEC);
	serve(door(address, SOCK_NONBLOCK));
}
