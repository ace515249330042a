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
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/net.h"
#include "base/resolve.h"
#include "base/text.h"
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
	struct addr addr;
	int64_t timeout;
	bool ack, verbose, json;
	const char *message;
	int fd;
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void on_note(void *arg, const char *text)
{
	(void)arg;
	fprintf(stderr, "usher trigger: %s\n", text);
}

/* ---- what failed, where, and what would cure it ---- */

static const char *cure(const struct session *s, enum net_stage stage, int e)
{
	static const struct {
		int error;
		const char *text;
	} cures[] = {
		{ ENXIO, "nobody reads this FIFO; start the service" },
		{ ECONNREFUSED, "nobody listens there; start the service" },
		{ ENOENT, "nothing is there; start the service or correct "
			  "the path" },
		{ EACCES, "the door's mode, owner or directory keeps you "
			  "out" },
		{ EPROTOTYPE, "the socket is of another type; unix:, "
			      "unix-seqpacket: or unix-dgram: would do" },
		{ ECONNRESET, "the peer broke off; its log tells why" },
		{ EPIPE, "the peer closed before everything was sent" },
		{ EMSGSIZE, "too long for one piece; a shorter message would "
			    "do" },
	};

	if (e == ETIMEDOUT && stage == NET_CONNECT)
		return addr_is_unix(s->addr.kind)
			? "its queue is full, the service does not accept; "
			  "look at it, or give a longer --timeout"
			: "nothing came back; look at host and firewalls, or "
			  "give a longer --timeout";
	if (e == ETIMEDOUT && stage == NET_WRITE)
		return "its queue is full, the service does not read; look "
		       "at it, or give a longer --timeout";
	if (e == ETIMEDOUT)
		return "no answer came in time; a longer --timeout would "
		       "wait";
	for (size_t i = 0; i < ARRAY_SIZE(cures); i++)
		if (cures[i].error == e)
			return cures[i].text;
	return "-v tells more";
}

static int fail(const struct session *s, enum net_stage stage, int error)
{
	fprintf(stderr, "usher trigger: %s: %s: %s; %s\n", s->addr.text,
		net_stage_name(stage), strerror(error),
		cure(s, stage, error));
	return 1;
}

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
	CLEANUP(freep) char *path = spool_path(s->addr.path);
	struct stat sb;

	s->fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (s->fd < 0 && *s->addr.path != '/') {
		fprintf(stderr, "usher trigger: %s: connect: %s: %s; another "
			"spool is named whole, as fifo:/DIR/%s; a service by "
			"--control PATH and its name\n", s->addr.text, path,
			strerror(errno), s->addr.path);
		return 1;
	}
	if (s->fd < 0)
		return fail(s, NET_CONNECT, errno);
	if (fstat(s->fd, &sb) == 0 && S_ISFIFO(sb.st_mode))
		return 0;
	fprintf(stderr, "usher trigger: %s: connect: %s is no FIFO; start "
		"the service, which makes it\n", s->addr.text, path);
	return 1;
}

/* An answer to a datagram needs somewhere to go: a name of the kernel's. */
static int bind_self(struct session *s)
{
	const struct sockaddr_un any = { .sun_family = AF_UNIX };

	if (bind(s->fd, (const void *)&any, sizeof(sa_family_t)) < 0)
		return fail(s, NET_CONNECT, errno);
	return 0;
}

static int resolve(struct session *s)
{
	CLEANUP(freep) char *why = NULL;
	int r;

	if (s->addr.kind != ADDR_TCP)
		return 0;
	r = resolve_wait(&s->addr, false, s->timeout, &why);
	if (r == 0)
		return 0;
	fprintf(stderr, "usher trigger: %s: %s: %s\n", s->addr.text,
		net_stage_name(NET_RESOLVE), why ?: strerror(-r));
	return 1;
}

static int connect_to(struct session *s)
{
	const struct net_note note = { .fn = s->verbose ? on_note : NULL };
	int r;

	if (s->addr.kind == ADDR_FIFO)
		return open_fifo(s);
	r = resolve(s);
	if (r != 0)
		return r;
	s->fd = net_connect(&s->addr, s->timeout, &note);
	if (s->fd < 0)
		return fail(s, NET_CONNECT, -s->fd);
	if (s->addr.kind == ADDR_UNIX_DGRAM && s->ack)
		return bind_self(s);
	return 0;
}

/* ---- write ---- */

/* In one piece, which a FIFO and packets need, or not at all. */
static int write_whole(const struct session *s, const void *p, size_t len)
{
	int64_t end = now_ms() + s->timeout;

	for (;;) {
		int64_t left = end - now_ms();
		ssize_t n = write(s->fd, p, len);
		int r;

		if (n == (ssize_t)len)
			return 0;
		if (n >= 0)
			return -EMSGSIZE;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -errno;
		r = net_wait(s->fd, POLLOUT, left > 0 ? left : 0);
		if (r <= 0)
			return r < 0 ? r : -ETIMEDOUT;
	}
}

static int write_message(const struct session *s)
{
	size_t len = strlen(s->message) + 1;
	int r;

	/* Longer, and the pieces of two writers would mix. */
	if (s->addr.kind == ADDR_FIFO && len > PIPE_BUF)
		r = -EMSGSIZE;
	else if (s->addr.kind == ADDR_TCP || s->addr.kind == ADDR_UNIX)
		r = net_write(s->fd, s->message, len, s->timeout);
	else
		r = write_whole(s, s->message, len);
	return r < 0 ? fail(s, NET_WRITE, -r) : 0;
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
			"yes?\n", s->addr.text);
	else if (text_printable(text, len))
		fprintf(stderr, "usher trigger: %s: answer: '%.*s' is no "
			"ACK\n", s->addr.text, (int)len, text);
	else
		fprintf(stderr, "usher trigger: %s: answer: 0x%s is no ACK\n",
			s->addr.text, hex);
	return 1;
}

static int wait_ack(const struct session *s)
{
	int64_t end = now_ms() + s->timeout;
	char buf[64];
	size_t len = 0;

	for (;;) {
		int64_t left = end - now_ms();
		ssize_t n = net_read(s->fd, buf + len, sizeof(buf) - len,
				     left > 0 ? left : 0);

		if (n < 0)
			return fail(s, NET_ANSWER, (int)-n);
		len += (size_t)n;
		if (is_ack(buf, len))
			return 0;
		if (n == 0 || len >= 3 || s->addr.kind != ADDR_TCP)
			return no_ack(s, buf, len);
	}
}

/* What the peer says meanwhile is nothing to us, and patience that ends is no
 * failure: the message is there. */
static int wait_close(const struct session *s)
{
	int64_t end = now_ms() + s->timeout, left;
	char buf[512];

	while ((left = end - now_ms()) > 0)
		if (net_read(s->fd, buf, sizeof(buf), left) <= 0)
			break;
	return 0;
}

static int wait_answer(const struct session *s)
{
	if (s->ack)
		return wait_ack(s);
	if (s->addr.kind == ADDR_FIFO || s->addr.kind == ADDR_UNIX_DGRAM)
		return 0;
	return wait_close(s);
}

/* ---- the command line ---- */

static int usage(const char *text)
{
	fprintf(stderr, "usher trigger: %s; usher trigger --help tells more\n",
		text);
	return 2;
}

static int parse_address(struct session *s, const char *text)
{
	CLEANUP(freep) char *why = NULL;

	if (addr_parse(text, &s->addr, &why) < 0)
		return usage(why);
	switch (s->addr.kind) {
	case ADDR_TCP:
	case ADDR_UNIX:
	case ADDR_UNIX_SEQPACKET:
	case ADDR_UNIX_DGRAM:
		return 0;
	case ADDR_FIFO:
		return s->ack ? usage("a FIFO can't answer; leave --ack out")
			      : 0;
	default:
		why = xasprintf("%s: takes no triggers; fifo:, unix:, "
				"unix-seqpacket:, unix-dgram: or tcp: would "
				"do", addr_kind_name(s->addr.kind));
		return usage(why);
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
			if (text_duration(optarg, &s->timeout) < 0 ||
			    s->timeout == 0)
				return usage("--timeout wants a time as 500ms "
					     "or 5s") + 1;
			break;
		case 'j':
			s->json = true;
			break;
		case 'v':
			s->verbose = true;
			break;
		case 'h':
			fputs(help, stdout);
			return 1;
		default:
			return usage_option("trigger", c, argv) + 1;
		}
	}
	if (argc - optind < 1 || argc - optind > 2)
		return usage("an ADDRESS and at most one MESSAGE are "
			     "wanted") + 1;
	return 0;
}

static void session_end(struct session *s)
{
	fd_closep(&s->fd);
	addr_free(&s->addr);
}

int cmd_trigger(int argc, char **argv)
{
	CLEANUP(session_end) struct session s = { .fd = -1,
						  .timeout = PATIENCE };
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
