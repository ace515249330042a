/*
 * system - the commands that act on usher itself, and kill.
 */
#include <errno.h>
#include <string.h>

#include "action/action.h"
#include "base/addr.h"
#include "base/text.h"
#include "control/commands.h"

/* ---- log level ---- */

enum call_result do_log_level(struct call *c)
{
	const char *word = call_text(c, "level");
	enum log_level level;

	if (log_level_parse(word, &level) < 0)
		return call_invalid(c, "level", "not '%s'; error, warning, "
				    "notice, info or debug", word);
	log_set_level(level);
	record_globals()->log_level = level;
	json_put(c->reply, "result", json_sprintf("log level %s", word));
	return CALL_DONE;
}

/* ---- shutdown ---- */

static void on_stopped(void *arg, int result, const char *text)
{
	struct usher *u = arg;

	(void)result;
	(void)text;
	loop_stop(u->loop);
}

/* The answer goes out first: when all is closed nobody is left to give it,
 * and who asked waits for the end of the connection. */
enum call_result do_shutdown(struct call *c)
{
	struct call *later = c;
	bool now = call_flag(c, "now");

	if (c->u->stopping && !now)
		return call_fail(c, ERROR_BUSY, "usher is shutting down");
	json_put_text(later->reply, "result", now ? "ending now"
						  : "shutting down");
	action_shutdown(c->u, now, on_stopped, c->u);
	return CALL_DONE;
}

/* ---- kill ---- */

struct killing {
	struct call *call;
	struct service *service;
	const struct addr_cidr *cidr;
	uint64_t *cookies;
	size_t n;
};

static enum call_result killed(struct call *c, int n, const char *what)
{
	json_put_int(c->reply, "count", n);
	json_put(c->reply, "result", json_sprintf("%s: %d ended", what, n));
	return CALL_DONE;
}

static enum call_result kill_conn(struct call *c, const char *text)
{
	int64_t cookie;
	struct service *s;
	pid_t holder = 0;

	if (text_number(text, 1, INT64_MAX, &cookie) < 0)
		return call_invalid(c, "what", "conn: and a cookie, as conns "
				    "and ss -e tell it");
	TAILQ_FOREACH(s, &c->u->services, entry) {
		int r = s->work && s->handler->kill_conn
			? s->handler->kill_conn(s, (uint64_t)cookie, &holder)
			: -ENOENT;

		if (r == 0)
			return killed(c, 1, call_text(c, "what"));
		if (r == -EOPNOTSUPP)
			return call_fail(c, ERROR_FAILED, "connection %s was "
					 "given to a worker of %s%s%d", text,
					 s->name, holder ? ", kill worker:"
					 : ", not known which: ",
					 (int)holder);
	}
	return call_fail(c, ERROR_FAILED, "no connection %s is known", text);
}

static enum call_result kill_worker(struct call *c, const char *text)
{
	int64_t pid;
	struct service *s;

	if (text_number(text, 1, INT32_MAX, &pid) < 0)
		return call_invalid(c, "what", "worker: and a pid");
	TAILQ_FOREACH(s, &c->u->services, entry)
		if (s->work && s->handler->kill_worker &&
		    s->handler->kill_worker(s, (pid_t)pid) == 0)
			return killed(c, 1, call_text(c, "what"));
	return call_fail(c, ERROR_FAILED, "no worker %s is known", text);
}

static void collect(void *arg, const struct conn_info *info)
{
	struct killing *k = arg;

	if (!addr_cidr_match(k->cidr, info->peer))
		return;
	/* By doubling: the capacity is the next power of two. */
	if ((k->n & (k->n - 1)) == 0)
		k->cookies = xrealloc(k->cookies, (k->n ? k->n * 2 : 1) *
						  sizeof(*k->cookies));
	k->cookies[k->n++] = info->cookie;
}

static int kill_from(struct service *s, struct killing *k)
{
	int n = 0;
	pid_t holder;

	k->n = 0;
	if (s->work && s->handler->conns && s->handler->kill_conn)
		s->handler->conns(s, collect, k);
	for (size_t i = 0; i < k->n; i++)
		n += s->handler->kill_conn(s, k->cookies[i], &holder) == 0;
	free(TAKE(k->cookies));
	return n;
}

static enum call_result kill_cidr(struct call *c, const char *text)
{
	struct addr_cidr cidr;
	struct killing k = { .cidr = &cidr };
	struct service *s;
	int n = 0;

	if (addr_cidr_parse(text, &cidr) < 0)
		return call_invalid(c, "what", "from: and an address or CIDR");
	TAILQ_FOREACH(s, &c->u->services, entry)
		n += kill_from(s, &k);
	return killed(c, n, call_text(c, "what"));
}

enum call_result do_kill(struct call *c)
{
	static const struct {
		const char *prefix;
		enum call_result (*fn)(struct call *c, const char *rest);
	} kinds[] = {
		{ "conn:", kill_conn },
		{ "worker:", kill_worker },
		{ "from:", kill_cidr },
	};
	const char *what = call_text(c, "what");

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		size_t n = strlen(kinds[i].prefix);

		if (strncmp(what, kinds[i].prefix, n) == 0)
			return kinds[i].fn(c, what + n);
	}
	return call_invalid(c, "what", "conn:COOKIE, worker:PID or from:CIDR");
}
