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
#include <unistd.h>

#include "base/text.h"
#include "client/reach.h"
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
	struct reach to;
	int64_t answer;		/* ms; -1: no limit */
	bool half;		/* our half is closed */
	struct flow up, down;
};

static void tell_connected(const struct session *s)
{
	struct addr_name peer = { .len = sizeof(peer.u) };
	char buf[ADDR_TEXT];

	if (!s->to.verbose || getpeername(s->to.fd, &peer.u.sa, &peer.len) < 0)
		return;
	fprintf(stderr, "usher connect: connected to %s\n",
		addr_print(&peer, buf, sizeof(buf)));
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
	f->since = reach_now();
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
	f->since = reach_now();
	return 0;
}

/* The stage that is waited in, and how long it may still last (-1: without
 * end). */
static int64_t time_left(const struct session *s, enum net_stage *stage)
{
	int64_t end;

	if (s->up.len > 0) {
		*stage = NET_WRITE;
		end = s->up.since + s->to.timeout;
	} else {
		/* Slow output is our reader's affair, not the peer's. */
		*stage = NET_ANSWER;
		if (!s->half || s->answer < 0 || s->down.len > 0)
			return -1;
		end = (s->up.since > s->down.since ? s->up.since :
						     s->down.since) +
		      s->answer;
	}
	end -= reach_now();
	return end > 0 ? end : 0;
}

/* Everything of ours is sent: tells the peer. */
static void close_half(struct session *s)
{
	if (!s->up.ended || s->up.len > 0 || s->half)
		return;
	shutdown(s->to.fd, SHUT_WR);
	s->half = true;
	s->up.since = reach_now();
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
	p[SOCK] = (struct pollfd){ sock ? s->to.fd : -1, sock, 0 };
}

/* 0, or the exit status after a message. */
static int step(struct session *s, const struct pollfd *p)
{
	int r = 0;

	if (p[SOCK].revents & ~POLLOUT && p[SOCK].events & POLLIN)
		r = fill(&s->down, s->to.fd, true);
	if (r < 0)
		return reach_fail(&s->to, NET_ANSWER, -r);
	if (p[SOCK].revents & ~POLLIN && s->up.len > 0)
		r = drain(&s->up, s->to.fd, true);
	if (r < 0)
		return reach_fail(&s->to, NET_WRITE, -r);
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

	s->up.since = s->down.since = reach_now();
	while (!s->down.ended || s->down.len > 0 || s->up.len > 0) {
		choose(s, p);
		ms = time_left(s, &stage);
		n = poll(p, WAITED, ms > INT_MAX ? INT_MAX : (int)ms);
		if (n == 0 && ms <= INT_MAX)
			return reach_fail(&s->to, stage, ETIMEDOUT);
		if (n < 0 && errno != EINTR)
			return reach_fail(&s->to, stage, errno);
		r = n > 0 ? step(s, p) : 0;
		if (r != 0)
			return r;
		close_half(s);
	}
	return 0;
}

static int parse_address(struct session *s, const char *text)
{
	CLEANUP(freep) char *why = NULL;
	int r = reach_parse(&s->to, text);

	if (r != 0 || s->to.addr.kind == ADDR_TCP ||
	    s->to.addr.kind == ADDR_UNIX ||
	    s->to.addr.kind == ADDR_UNIX_SEQPACKET)
		return r;
	why = xasprintf("%s: carries no conversation; tcp:, unix: or "
			"unix-seqpacket: would do",
			addr_kind_name(s->to.addr.kind));
	return reach_usage(&s->to, why);
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
			if (text_duration(optarg, &s->answer) < 0 ||
			    s->answer == 0)
				return reach_usage(&s->to, "--timeout wants a "
						   "time as 500ms or 5s") + 1;
			s->to.timeout = s->answer;
			break;
		case 'v':
			s->to.verbose = true;
			break;
		case 'h':
			fputs(help, stdout);
			return 1;
		default:
			return usage_option("connect", c, argv) + 1;
		}
	}
	if (argc - optind != 1)
		return reach_usage(&s->to, "one ADDRESS is wanted, as "
				   "tcp:HOST:PORT or unix:/PATH") + 1;
	return 0;
}

static void session_free(struct session **s)
{
	reach_end(&(*s)->to);
	free(*s);
}

int cmd_connect(int argc, char **argv)
{
	CLEANUP(session_free) struct session *s = xcalloc(1, sizeof(*s));
	int r;

	s->answer = -1;
	s->to = (struct reach){ .command = "connect", .timeout = PATIENCE,
				.fd = -1 };
	r = options(s, argc, argv);
	if (r != 0)
		return r - 1;
	r = parse_address(s, argv[optind]);
	if (r == 0)
		r = reach_connect(&s->to);
	if (r == 0) {
		tell_connected(s);
		r = talk(s);
	}
	return r;
}
