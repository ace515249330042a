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

/* ---- all of a network ---- */

/* Ten thousand resets take a while, and the doors want theirs. */
#define SLICE_US 250

struct victim {
	uint32_t slot;
	uint64_t cookie;
};

/* One block: whatever ends the call frees it. */
struct killing {
	struct timer timer;
	struct addr_cidr cidr;
	uint32_t slot;		/* whose are being collected */
	int ended;
	size_t n, at, room;
	struct victim v[];
};

static struct killing *killing_new(struct killing *old, size_t room)
{
	struct killing *k = xrealloc(old, sizeof(*k) + room * sizeof(*k->v));

	if (!old)
		memset(k, 0, sizeof(*k));
	k->room = room;
	return k;
}

static void collect(void *arg, const struct conn_info *info)
{
	struct killing **k = arg;

	if (!addr_cidr_match(&(*k)->cidr, info->peer))
		return;
	if ((*k)->n == (*k)->room)
		*k = killing_new(*k, (*k)->room * 2);
	(*k)->v[(*k)->n++] = (struct victim){ (*k)->slot, info->cookie };
}

/* True: there are more. */
static bool kill_some(struct killing *k, struct usher *u)
{
	int64_t end = loop_us() + SLICE_US;
	pid_t holder;

	while (k->at < k->n && loop_us() < end) {
		const struct victim *v = &k->v[k->at++];
		struct service *s = model_by_slot(u, v->slot);

		if (s && s->work && s->handler->kill_conn)
			k->ended += s->handler->kill_conn(s, v->cookie,
							  &holder) == 0;
	}
	return k->at < k->n;
}

static void on_kill(void *arg)
{
	struct call *c = arg;
	struct killing *k = c->data;

	if (kill_some(k, c->u)) {
		timer_set(c->u->loop, &k->timer, 0, on_kill, c);
		return;
	}
	killed(c, k->ended, call_text(c, "what"));
	free(TAKE(c->data));
	call_finish(c, CALL_DONE);
}

/* Who asked has left: what was asked for is done all the same. */
static void on_drop(struct call *c)
{
	struct killing *k = c->data;

	timer_cancel(c->u->loop, &k->timer);
	while (kill_some(k, c->u))
		;
	free(TAKE(c->data));
}

static enum call_result kill_cidr(struct call *c, const char *text)
{
	CLEANUP(freep) struct killing *k = killing_new(NULL, 16);
	struct service *s;

	if (addr_cidr_parse(text, &k->cidr) < 0)
		return call_invalid(c, "what", "from: and an address or CIDR");
	TAILQ_FOREACH(s, &c->u->services, entry) {
		k->slot = s->slot;
		if (s->work && s->handler->conns && s->handler->kill_conn)
			s->handler->conns(s, collect, &k);
	}
	if (!kill_some(k, c->u))
		return killed(c, k->ended, call_text(c, "what"));
	timer_set(c->u->loop, &k->timer, 0, on_kill, c);
	c->data = TAKE(k);
	c->drop = on_drop;
	return CALL_LATER;
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
