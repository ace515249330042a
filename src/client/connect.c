/*
 * connect - usher connect: standard input and output to a TCP or Unix
 * endpoint.
 *
 * Each stage has its deadline: look-up, connect, writing (no progress for so
 * long), and after the end of input the answer. The peer's end is the end.
 * Both directions go on at once, and nothing is read that can't be passed on.
 */
#include "client/connect.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/net.h"
#include "base/resolve.h"
#include "base/text.h"
#include "client/usage.h"

/* A sequenced packet's most, with Linux's own limit of buffers. */
#define BUFFER	     (256 * 1024)
/* What a pipe takes without blocking once it polls writable. */
#define OUTPUT_CHUNK 4096
/* Without --timeout; an answer then has all the time it wants. */
#define PATIENCE     30000

static const char help[] =
	"usage: usher connect ADDRESS [--timeout T] [-v]\n"
	"\n"
	"Connects standard input and output to ADDRESS: tcp:HOST:PORT,\n"
	"unix:/PATH, unix:@NAME or unix-seqpacket:... The end of input closes\n"
	"the sending half; what the peer answers until its own end is written\n"
	"out.\n"
	"\n"
	"  --timeout T   for each stage: look-up, connect, write (30s each),\n"
	"                and the answer after the end of input (no limit)\n"
	"  -v            tell each address tried, and why not\n"
	"  --help        this text\n"
	"\n"
	"Exit status: 0 done, 1 failed, 2 usage.\n";

/* One direction: what was read and is not written yet. */
struct flow {
	char buf[BUFFER];
	size_t len, off;
	bool ended;		/* nothing more will be read */
	int64_t since;		/* last progress, ms */
};

struct session {
	struct addr addr;
	int64_t timeout;	/* -1: the defaults */
	bool verbose;
	int sock;
	bool half;		/* our half is closed */
	struct flow up, down;
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int64_t patience(const struct session *s)
{
	return s->timeout < 0 ? PATIENCE : s->timeout;
}

static void on_note(void *arg, const char *text)
{
	(void)arg;
	fprintf(stderr, "usher connect: %s\n", text);
}

/* What would cure it. */
static const char *cure(const struct session *s, enum net_stage stage, int e)
{
	static const struct {
		int error;
		const char *text;
	} cures[] = {
		{ ECONNREFUSED, "nobody listens there; start the service" },
		{ ENOENT, "no socket is there; start the service or correct "
			  "the path" },
		{ EACCES, "the socket's mode, owner or directory keeps you "
			  "out" },
		{ EPROTOTYPE, "the socket is of another type; unix: or "
			      "unix-seqpacket: would do" },
		{ EHOSTUNREACH, "no way to that host; look at routes and "
				"firewalls" },
		{ ENETUNREACH, "no way to that network; look at the routes" },
		{ EADDRNOTAVAIL, "source= must be an address of this "
				 "machine" },
		{ ECONNRESET, "the peer broke off; its log tells why" },
		{ EPIPE, "the peer closed before everything was sent" },
		{ EMSGSIZE, "too long for one packet; shorter ones would "
			    "do" },
	};

	if (e == ETIMEDOUT && stage == NET_RESOLVE)
		return "the name server is silent; an address instead of a "
		       "name, or a longer --timeout, would do";
	if (e == ETIMEDOUT && stage == NET_CONNECT)
		return addr_is_unix(s->addr.kind) ?
			"its queue is full, the service does not accept; "
			"look at it, or give a longer --timeout" :
			"nothing came back; look at host and firewalls, or "
			"give a longer --timeout";
	if (e == ETIMEDOUT)
		return "the peer is too slow or stuck; a longer --timeout "
		       "would wait";
	for (size_t i = 0; i < ARRAY_SIZE(cures); i++)
		if (cures[i].error == e)
			return cures[i].text;
	return "-v tells more";
}

static int fail(const struct session *s, enum net_stage stage, int error)
{
	fprintf(stderr, "usher connect: %s: %s: %s; %s\n", s->addr.text,
		net_stage_name(stage), strerror(error),
		cure(s, stage, error));
	return 1;
}

static int resolve(struct session *s)
{
	CLEANUP(freep) char *why = NULL;
	int r;

	if (addr_is_unix(s->addr.kind))
		return 0;
	r = resolve_wait(&s->addr, false, patience(s), &why);
	if (r == 0)
		return 0;
	if (!why)
		return fail(s, NET_RESOLVE, -r);
	fprintf(stderr, "usher connect: %s: %s: %s\n", s->addr.text,
		net_stage_name(NET_RESOLVE), why);
	return 1;
}

static void tell_connected(const struct session *s)
{
	struct addr_name peer = { .len = sizeof(peer.u) };
	char buf[ADDR_TEXT];

	if (!s->verbose || getpeername(s->sock, &peer.u.sa, &peer.len) < 0)
		return;
	fprintf(stderr, "usher connect: connected to %s\n",
		addr_print(&peer, buf, sizeof(buf)));
}

static int open_session(struct session *s)
{
	struct net_note note = { .fn = s->verbose ? on_note : NULL };
	int r = resolve(s);

	if (r != 0)
		return r;
	s->sock = net_connect(&s->addr, patience(s), &note);
	if (s->sock < 0)
		return fail(s, NET_CONNECT, -s->sock);
	tell_connected(s);
	return 0;
}

/* Reads into an empty flow; 0 or -errno, -EMSGSIZE for a packet that is too
 * long. (recv with MSG_TRUNC would tell as well, but throws away TCP's data,
 * see tcp(7).) */
static int fill(struct flow *f, int fd, bool socket)
{
	struct iovec iov = { f->buf, sizeof(f->buf) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n = socket ? recvmsg(fd, &m, MSG_DONTWAIT) :
			     read(fd, f->buf, sizeof(f->buf));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (m.msg_flags & MSG_TRUNC)
		return -EMSGSIZE;
	f->off = 0;
	f->len = (size_t)n;
	f->ended = n == 0;
	f->since = now_ms();
	return 0;
}

static int drain(struct flow *f, int fd, bool socket)
{
	size_t len = f->len - f->off;
	ssize_t n;

	if (socket)
		n = send(fd, f->buf + f->off, len,
			 MSG_NOSIGNAL | MSG_DONTWAIT);
	else
		n = write(fd, f->buf + f->off,
			  len > OUTPUT_CHUNK ? OUTPUT_CHUNK : len);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	f->off += (size_t)n;
	if (f->off == f->len)
		f->off = f->len = 0;
	f->since = now_ms();
	return 0;
}

/* The stage that is waited in, and how long it may still last (-1: without
 * end). */
static int64_t time_left(const struct session *s, enum net_stage *stage)
{
	int64_t end;

	if (s->up.len > 0) {
		*stage = NET_WRITE;
		end = s->up.since + patience(s);
	} else {
		/* Slow output is our reader's affair, not the peer's. */
		*stage = NET_ANSWER;
		if (!s->half || s->timeout < 0 || s->down.len > 0)
			return -1;
		end = (s->up.since > s->down.since ? s->up.since :
						     s->down.since) +
		      s->timeout;
	}
	end -= now_ms();
	return end > 0 ? end : 0;
}

/* Everything of ours is sent: tells the peer. */
static void close_half(struct session *s)
{
	if (!s->up.ended || s->up.len > 0 || s->half)
		return;
	shutdown(s->sock, SHUT_WR);
	s->half = true;
	s->up.since = now_ms();
}

enum { IN, OUT, SOCK, WAITED };

/* What is worth waiting for; what is not is left out, for poll would report
 * its hang-up without end. */
static void choose(const struct session *s, struct pollfd *p)
{
	short sock = 0;

	if (s->down.len == 0 && !s->down.ended)
		sock |= POLLIN;
	if (s->up.len > 0)
		sock |= POLLOUT;
	p[IN] = (struct pollfd){ -1, POLLIN, 0 };
	if (s->up.len == 0 && !s->up.ended && !s->down.ended)
		p[IN].fd = STDIN_FILENO;
	p[OUT] = (struct pollfd){ s->down.len > 0 ? STDOUT_FILENO : -1,
				  POLLOUT, 0 };
	p[SOCK] = (struct pollfd){ sock ? s->sock : -1, sock, 0 };
}

/* 0, or the exit status after a message. */
static int step(struct session *s, const struct pollfd *p)
{
	int r = 0;

	if (p[SOCK].revents & ~POLLOUT && p[SOCK].events & POLLIN)
		r = fill(&s->down, s->sock, true);
	if (r < 0)
		return fail(s, NET_ANSWER, -r);
	if (p[SOCK].revents & ~POLLIN && s->up.len > 0)
		r = drain(&s->up, s->sock, true);
	if (r < 0)
		return fail(s, NET_WRITE, -r);
	if (p[IN].revents)
		r = fill(&s->up, STDIN_FILENO, false);
	if (r < 0) {
		fprintf(stderr, "usher connect: standard input: %s\n",
			strerror(-r));
		return 1;
	}
	if (p[OUT].revents)
		r = drain(&s->down, STDOUT_FILENO, false);
	if (r < 0) {
		fprintf(stderr, "usher connect: standard output: %s\n",
			strerror(-r));
		return 1;
	}
	return 0;
}

static int talk(struct session *s)
{
	struct pollfd p[WAITED];
	enum net_stage stage;
	int64_t ms;
	int n, r;

	s->up.since = s->down.since = now_ms();
	while (!s->down.ended || s->down.len > 0 || s->up.len > 0) {
		choose(s, p);
		ms = time_left(s, &stage);
		n = poll(p, WAITED, ms > INT_MAX ? INT_MAX : (int)ms);
		if (n == 0 && ms <= INT_MAX)
			return fail(s, stage, ETIMEDOUT);
		if (n < 0 && errno != EINTR)
			return fail(s, stage, errno);
		r = n > 0 ? step(s, p) : 0;
		if (r != 0)
			return r;
		close_half(s);
	}
	return 0;
}

static int usage(const char *text)
{
	fprintf(stderr, "usher connect: %s; usher connect --help tells more\n",
		text);
	return 2;
}

static int parse_address(struct session *s, const char *text)
{
	CLEANUP(freep) char *why = NULL;

	if (addr_parse(text, &s->addr, &why) < 0)
		return usage(why);
	if (s->addr.kind == ADDR_TCP || s->addr.kind == ADDR_UNIX ||
	    s->addr.kind == ADDR_UNIX_SEQPACKET)
		return 0;
	why = xasprintf("%s: carries no conversation; tcp:, unix: or "
			"unix-seqpacket: would do",
			addr_kind_name(s->addr.kind));
	return usage(why);
}

/* 0: go on, with the ADDRESS at argv[optind]; else exit status + 1. */
static int options(struct session *s, int argc, char **argv)
{
	static const struct option known[] = {
		{ "timeout", required_argument, NULL, 't' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	optind = 0;	/* main may have used getopt before */
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":vh", known, NULL)) != -1) {
		switch (c) {
		case 't':
			if (text_duration(optarg, &s->timeout) < 0 ||
			    s->timeout == 0)
				return usage("--timeout wants a time as 500ms "
					     "or 5s") + 1;
			break;
		case 'v':
			s->verbose = true;
			break;
		case 'h':
			fputs(help, stdout);
			return 1;
		default:
			return usage_option("connect", c, argv) + 1;
		}
	}
	if (argc - optind != 1)
		return usage("one ADDRESS is wanted, as tcp:HOST:PORT or "
			     "unix:/PATH") + 1;
	return 0;
}

static void session_free(struct session **s)
{
	fd_closep(&(*s)->sock);
	addr_free(&(*s)->addr);
	free(*s);
}

int cmd_connect(int argc, char **argv)
{
	CLEANUP(session_free) struct session *s = xcalloc(1, sizeof(*s));
	int r;

	s->timeout = -1;
	s->sock = -1;
	r = options(s, argc, argv);
	if (r != 0)
		return r - 1;
	r = parse_address(s, argv[optind]);
	if (r == 0)
		r = open_session(s);
	if (r == 0)
		r = talk(s);
	return r;
}
