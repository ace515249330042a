/*
 * trigger - usher trigger: "run this now", at an endpoint of any kind.
 *
 * The stages of Postfix's trigger clients, each with its deadline: connect,
 * write the message and a NUL, then wait for the peer's close, or for its
 * ACK. A FIFO that nobody reads is an error, not a wait. What is on the other
 * side need not be usher.
 */
#include "client/trigger.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "client/reach.h"
#include "client/usage.h"

/* Without --timeout, for each stage. */
#define PATIENCE 10000

static const char help[] =
	"usage: usher trigger ADDRESS [MESSAGE] [--ack] [--timeout T] [-v]\n"
	"\n"
	"Writes MESSAGE (default: none, which is a trigger too) and a NUL to\n"
	"ADDRESS: fifo:NAME (in the default spool), fifo:/PATH, unix:/PATH,\n"
	"unix-seqpacket:/PATH, unix-dgram:/PATH or tcp:HOST:PORT, and stays\n"
	"until the peer closes.\n"
	"\n"
	"  --ack         wait for the answer ACK; without it: failed\n"
	"  --timeout T   each stage: look-up, connect, write, answer (10s)\n"
	"  --json        print what was done as JSON\n"
	"  -v            tell each address tried, and why not\n"
	"  --help        this text\n"
	"\n"
	"Exit status: 0 done, 1 failed, 2 usage.\n";

struct session {
	struct reach to;
	bool ack, json;
	const char *message;
};

/* ---- connect ---- */

static char *spool_path(const char *name)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");

	if (name[0] == '/')
		return xstrdup(name);
	if (geteuid() == 0)
		return xasprintf("/var/spool/usher/%s", name);
	if (runtime && runtime[0] == '/')
		return xasprintf("%s/usher/spool/%s", runtime, name);
	return xasprintf("/tmp/usher-%u/spool/%s", (unsigned)geteuid(), name);
}

static int open_fifo(struct session *s)
{
	CLEANUP(freep) char *path = spool_path(s->to.addr.path);
	struct stat sb;

	s->to.fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (s->to.fd < 0 && *s->to.addr.path != '/') {
		fprintf(stderr, "usher trigger: %s: connect: %s: %s; another "
			"spool is named whole, as fifo:/DIR/%s; a service by "
			"--control PATH and its name\n", s->to.addr.text, path,
			strerror(errno), s->to.addr.path);
		return 1;
	}
	if (s->to.fd < 0)
		return reach_fail(&s->to, NET_CONNECT, errno);
	if (fstat(s->to.fd, &sb) == 0 && S_ISFIFO(sb.st_mode))
		return 0;
	fprintf(stderr, "usher trigger: %s: connect: %s is no FIFO; start "
		"the service, which makes it\n", s->to.addr.text, path);
	return 1;
}

/* An answer to a datagram needs somewhere to go: a name of the kernel's. */
static int bind_self(struct session *s)
{
	const struct sockaddr_un any = { .sun_family = AF_UNIX };

	if (bind(s->to.fd, (const void *)&any, sizeof(sa_family_t)) < 0)
		return reach_fail(&s->to, NET_CONNECT, errno);
	return 0;
}

static int connect_to(struct session *s)
{
	int r;

	if (s->to.addr.kind == ADDR_FIFO)
		return open_fifo(s);
	r = reach_connect(&s->to);
	if (r == 0 && s->to.addr.kind == ADDR_UNIX_DGRAM && s->ack)
		r = bind_self(s);
	return r;
}

/* ---- write ---- */

/* In one piece, which a FIFO and packets need, or not at all. */
static int write_whole(const struct session *s, const void *p, size_t len)
{
	int64_t end = reach_now() + s->to.timeout;

	for (;;) {
		int64_t left = end - reach_now();
		ssize_t n = write(s->to.fd, p, len);
		int r;

		if (n == (ssize_t)len)
			return 0;
		if (n >= 0)
			return -EMSGSIZE;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -errno;
		r = net_wait(s->to.fd, POLLOUT, left > 0 ? left : 0);
		if (r <= 0)
			return r < 0 ? r : -ETIMEDOUT;
	}
}

static int write_message(const struct session *s)
{
	size_t len = strlen(s->message) + 1;
	int r;

	/* Longer, and the pieces of two writers would mix. */
	if (s->to.addr.kind == ADDR_FIFO && len > PIPE_BUF)
		r = -EMSGSIZE;
	else if (s->to.addr.kind == ADDR_TCP || s->to.addr.kind == ADDR_UNIX)
		r = net_write(s->to.fd, s->message, len, s->to.timeout);
	else
		r = write_whole(s, s->message, len);
	return r < 0 ? reach_fail(&s->to, NET_WRITE, -r) : 0;
}

/* ---- answer ---- */

static bool is_ack(const char *text, size_t len)
{
	while (len && (isspace((unsigned char)text[len - 1]) ||
		       text[len - 1] == '\0'))
		len--;
	return len == 3 && strncasecmp(text, "ack", 3) == 0;
}

static int no_ack(const struct session *s, const char *text, size_t len)
{
	CLEANUP(freep) char *hex = text_hex(text, len);

	if (len == 0)
		fprintf(stderr, "usher trigger: %s: answer: the peer closed "
			"without ACK; does the service say trigger_ack = "
			"yes?\n", s->to.addr.text);
	else if (text_printable(text, len))
		fprintf(stderr, "usher trigger: %s: answer: '%.*s' is no "
			"ACK\n", s->to.addr.text, (int)len, text);
	else
		fprintf(stderr, "usher trigger: %s: answer: 0x%s is no ACK\n",
			s->to.addr.text, hex);
	return 1;
}

static int wait_ack(const struct session *s)
{
	int64_t end = reach_now() + s->to.timeout;
	char buf[64];
	size_t len = 0;

	for (;;) {
		int64_t left = end - reach_now();
		ssize_t n = net_read(s->to.fd, buf + len, sizeof(buf) - len,
				     left > 0 ? left : 0);

		if (n < 0)
			return reach_fail(&s->to, NET_ANSWER, (int)-n);
		len += (size_t)n;
		if (is_ack(buf, len))
			return 0;
		if (n == 0 || len >= 3 || s->to.addr.kind != ADDR_TCP)
			return no_ack(s, buf, len);
	}
}

/* What the peer says meanwhile is nothing to us, and patience that ends is no
 * failure: the message is there. */
static int wait_close(const struct session *s)
{
	int64_t end = reach_now() + s->to.timeout, left;
	char buf[512];

	while ((left = end - reach_now()) > 0)
		if (net_read(s->to.fd, buf, sizeof(buf), left) <= 0)
			break;
	return 0;
}

static int wait_answer(const struct session *s)
{
	if (s->ack)
		return wait_ack(s);
	if (s->to.addr.kind == ADDR_FIFO || s->to.addr.kind == ADDR_UNIX_DGRAM)
		return 0;
	return wait_close(s);
}

/* ---- the command line ---- */

static int parse_address(struct session *s, const char *text)
{
	CLEANUP(freep) char *why = NULL;
	int r = reach_parse(&s->to, text);

	if (r != 0)
		return r;
	switch (s->to.addr.kind) {
	case ADDR_TCP:
	case ADDR_UNIX:
	case ADDR_UNIX_SEQPACKET:
	case ADDR_UNIX_DGRAM:
		return 0;
	case ADDR_FIFO:
		return s->ack ? reach_usage(&s->to, "a FIFO can't answer; "
					    "leave --ack out") : 0;
	default:
		why = xasprintf("%s: takes no triggers; fifo:, unix:, "
				"unix-seqpacket:, unix-dgram: or tcp: would "
				"do", addr_kind_name(s->to.addr.kind));
		return reach_usage(&s->to, why);
	}
}

/* 0: go on, with the words from argv[optind]; else exit status + 1. */
static int options(struct session *s, int argc, char **argv)
{
	static const struct option known[] = {
		{ "ack", no_argument, NULL, 'a' },
		{ "timeout", required_argument, NULL, 't' },
		{ "json", no_argument, NULL, 'j' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	optind = 0;
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":vh", known, NULL)) != -1) {
		switch (c) {
		case 'a':
			s->ack = true;
			break;
		case 't':
			if (text_duration(optarg, &s->to.timeout) < 0 ||
			    s->to.timeout == 0)
				return reach_usage(&s->to, "--timeout wants a "
						   "time as 500ms or 5s") + 1;
			break;
		case 'j':
			s->json = true;
			break;
		case 'v':
			s->to.verbose = true;
			break;
		case 'h':
			fputs(help, stdout);
			return 1;
		default:
			return usage_option("trigger", c, argv) + 1;
		}
	}
	if (argc - optind < 1 || argc - optind > 2)
		return reach_usage(&s->to, "an ADDRESS and at most one "
				   "MESSAGE are wanted") + 1;
	return 0;
}

static void session_end(struct session *s)
{
	reach_end(&s->to);
}

int cmd_trigger(int argc, char **argv)
{
	CLEANUP(session_end) struct session s = {
		.to = { .command = "trigger", .timeout = PATIENCE, .fd = -1 },
	};
	int r = options(&s, argc, argv);

	if (r != 0)
		return r - 1;
	signal(SIGPIPE, SIG_IGN);
	s.message = optind + 1 < argc ? argv[optind + 1] : "";
	r = parse_address(&s, argv[optind]);
	if (r == 0)
		r = connect_to(&s);
	if (r == 0)
		r = write_message(&s);
	if (r == 0)
		r = wait_answer(&s);
	if (r == 0 && s.json)
		printf("{\"triggered\":true,\"ack\":%s}\n",
		       s.ack ? "true" : "false");
	return r;
}
