/*
 * relay_worker - a process of `relay_workers`: the relay of a service in a
 * loop of its own.
 *
 * Started by the daemon as a worker of `pass` is: connections come through
 * the queue at descriptor 3, what was taken and is done is said there. Its
 * settings are the service's section, in USHER_RELAY. Who may come in was
 * judged already. An end of the queue, or SIGTERM: what it carries is carried
 * to its end, then it leaves.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/offload.h"
#include "base/resolve.h"
#include "base/text.h"
#include "inlet/admit.h"
#include "inlet/arrival.h"
#include "relay/relay.h"
#include "serve.h"

#define QUEUE     3
#define MOST      65536
#define MESSAGE   65536
#define BURST     16
#define SLOTS     4
#define REPORT    64
#define SAY_MS    2

/* One process, one relay. */
static struct {
	struct usher u;
	struct service *s;
	int queue;		/* RECORD_QUEUE */
	bool leaving;
	char (*unsaid)[REPORT];	/* the queue was full */
	size_t nunsaid, room;
	struct timer say;
} me = { .queue = -1 };

static bool say(const char *text)
{
	return send(record_at(me.queue)->fd[0], text, strlen(text),
		    MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 || errno != EAGAIN;
}

static void on_say(void *arg)
{
	size_t n = 0;

	(void)arg;
	while (n < me.nunsaid && say(me.unsaid[n]))
		n++;
	me.nunsaid -= n;
	memmove(me.unsaid, me.unsaid + n, me.nunsaid * REPORT);
	if (me.nunsaid)
		timer_set(me.u.loop, &me.say, SAY_MS, on_say, NULL);
}

/* In order; what the queue does not take now waits. */
static void report(const char *text)
{
	if (me.nunsaid == 0 && say(text))
		return;
	if (me.nunsaid == me.room) {
		me.room = me.room ? 2 * me.room : 64;
		me.unsaid = xrealloc(me.unsaid, me.room * REPORT);
	}
	snprintf(me.unsaid[me.nunsaid++], REPORT, "%s", text);
	if (!timer_is_set(&me.say))
		timer_set(me.u.loop, &me.say, SAY_MS, on_say, NULL);
}

static void report_id(const char *word, uint64_t cookie)
{
	char text[REPORT];

	snprintf(text, sizeof(text), "%s %llu", word,
		 (unsigned long long)cookie);
	report(text);
}

/* What the daemon can't see of a connection goes along. */
static void on_end(struct service *s, uint64_t cookie, int64_t up,
		   int64_t down)
{
	char text[REPORT];

	(void)s;
	if (up < 0) {
		report_id("refused", cookie);
		return;
	}
	snprintf(text, sizeof(text), "done %llu %lld %lld",
		 (unsigned long long)cookie, (long long)up, (long long)down);
	report(text);
}

/* ---- arrivals ---- */

/* The value of NAME in WORDS, which end with an empty one, or NULL. */
static const char *word(const char *words, size_t len, const char *name)
{
	size_t n = strlen(name);

	for (size_t at = 0; at < len && words[at];
	     at += strlen(words + at) + 1)
		if (strncmp(words + at, name, n) == 0 && words[at + n] == '=')
			return words + at + n + 1;
	return NULL;
}

/* Behind a PROXY header the socket's own addresses are not the client's. */
static void address(const char *words, size_t len, const char *ip_name,
		    const char *port_name, struct addr_name *out)
{
	const char *ip = word(words, len, ip_name);
	const char *port = word(words, len, port_name);
	int64_t n;

	if (!ip || !port || text_number(port, 0, 65535, &n) < 0)
		return;
	if (inet_pton(AF_INET, ip, &out->u.in.sin_addr) == 1) {
		out->u.sa.sa_family = AF_INET;
		out->u.in.sin_port = htons((uint16_t)n);
		out->len = sizeof(out->u.in);
	} else if (inet_pton(AF_INET6, ip, &out->u.in6.sin6_addr) == 1) {
		out->u.sa.sa_family = AF_INET6;
		out->u.in6.sin6_port = htons((uint16_t)n);
		out->len = sizeof(out->u.in6);
	}
}

static void arrive(int fd, const char *words, size_t len)
{
	struct conn c;

	fd_cloexec(fd, false);
	fd_nonblock(fd, true);
	if (arrival_describe(me.s, fd, &c) < 0) {
		/* It is gone already; its number tells which. */
		report_id("taken", fd_cookie(fd));
		report_id("done", fd_cookie(fd));
		close(fd);
		return;
	}
	address(words, len, "TCPREMOTEIP", "TCPREMOTEPORT", &c.peer);
	address(words, len, "TCPLOCALIP", "TCPLOCALPORT", &c.local);
	report_id("taken", c.cookie);
	if (me.s->handler->arrive(me.s, &c) == -EAGAIN)
		arrival_refuse(me.s, &c, REFUSED_FULL, ON_RESET);
}

static void leave(void)
{
	if (me.leaving)
		return;
	me.leaving = true;
	loop_unwatch(me.u.loop, me.queue, 0);
	me.s->handler->stop(me.s, false);
}

static void on_queue(void *arg, uint32_t events)
{
	static char buf[MESSAGE + 1];
	int r = 1;

	(void)arg;
	(void)events;
	for (int i = 0; i < BURST && r > 0; i++) {
		int fd = -1;
		struct fd_message m = { .buf = buf, .size = MESSAGE,
					.fds = &fd, .max = 1 };

		r = fd_receive(record_at(me.queue)->fd[0], &m, MSG_DONTWAIT);
		if (r == 0 || (r == 1 && m.len == 0)) {
			leave();
			return;
		}
		if (r < 1)
			continue;
		buf[m.len] = 0;
		if (m.n == 1)
			arrive(fd, buf, m.len);
	}
}

static void on_gone(struct service *s)
{
	loop_stop(s->u->loop);
}

static void on_room(struct service *s)
{
	(void)s;
}

static void on_term(void *arg, const struct signalfd_siginfo *si)
{
	(void)arg;
	(void)si;
	leave();
}

/* ---- life ---- */

static struct conf *load(void)
{
	const char *text = getenv("USHER_RELAY");
	struct conf_report report = { 0 };
	struct conf *conf = NULL;
	struct conf_source source = { .path = "USHER_RELAY", .text = text,
				      .len = text ? strlen(text) : 0,
				      .resolve = true };

	if (!text) {
		fputs("usher: relay-worker is started by the daemon\n",
		      stderr);
		return NULL;
	}
	conf_load(&source, &conf, &report);
	for (size_t i = 0; i < report.errors.n; i++)
		log_error("%s", report.errors.v[i]);
	conf_report_free(&report);
	return conf;
}

static int ground(int queue)
{
	struct rlimit r;
	rlim_t most;
	int e;

	getrlimit(RLIMIT_NOFILE, &r);
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
	most = r.rlim_cur < MOST ? r.rlim_cur : MOST;
	e = record_open((uint32_t)most, SLOTS);
	if (e == 0)
		e = loop_open(&me.u.loop, false);
	if (e == 0)
		e = offload_open(me.u.loop);
	if (e < 0)
		return e;
	me.queue = record_new(RECORD_QUEUE, RECORD_NOBODY, 0);
	record_set_fd(me.queue, 0, queue);
	record_commit(me.queue);
	return 0;
}

static int open_relay(struct conf *conf)
{
	struct conf_service *cs = TAILQ_FIRST(&conf->services);
	struct usher *u = &me.u;

	if (!cs || cs->handler != HANDLER_RELAY)
		return -EINVAL;
	/* The daemon's lines, and its judgement. */
	cs->log_connections = false;
	cs->max_per_source = 0;
	cs->rate_per_source = (struct text_rate){ 0 };
	u->by_slot = xcalloc(slot_max(), sizeof(*u->by_slot));
	TAILQ_INIT(&u->services);
	TAILQ_INIT(&u->gone);
	TAILQ_INIT(&u->leaving);
	u->conf = conf;
	u->on_gone = on_gone;
	u->on_room = on_room;
	me.s = service_new(u, conf, cs);
	if (!me.s)
		return -ENOSPC;
	me.s->handler = &handler_relay;
	me.s->handler->start(me.s);
	u->on_end = on_end;
	signal(SIGPIPE, SIG_IGN);
	loop_signal(u->loop, SIGTERM, on_term, NULL);
	loop_signal(u->loop, SIGINT, on_term, NULL);
	/* One is woken for each, not all for one. */
	return loop_watch(u->loop, me.queue, 0, EPOLLIN | EPOLLEXCLUSIVE,
			  on_queue, NULL);
}

static void close_relay(struct conf *conf)
{
	struct usher *u = &me.u;

	me.s->handler->end(me.s);
	admit_free(me.s);
	service_free(me.s);
	if (u->resolver)
		resolve_close(&u->resolver);
	offload_close();
	record_close(me.queue);
	loop_close(&u->loop);
	free(u->by_slot);
	free(me.unsaid);
	conf_unref(&conf);
	record_shutdown();
}

int cmd_relay_worker(int argc, char **argv)
{
	struct conf *conf;
	int queue, r;

	(void)argc;
	(void)argv;
	log_open(LOG_STDERR);
	conf = load();
	if (!conf)
		return 2;
	/* 3 is a role's number from here on. */
	queue = fcntl(QUEUE, F_DUPFD, RECORD_LOW);
	close(QUEUE);
	r = queue < 0 ? -errno : ground(queue);
	if (r == 0)
		r = open_relay(conf);
	if (r < 0) {
		log_error("relay-worker: can't begin: %s", strerror(-r));
		return 1;
	}
	r = loop_run(me.u.loop);
	close_relay(conf);
	return r < 0;
}
