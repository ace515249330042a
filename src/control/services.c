/*
 * services - the commands that act on one service; the work is an action's.
 */
#include <errno.h>
#include <string.h>

#include "action/action.h"
#include "continuity/upgrade.h"
#include "base/text.h"
#include "conf/derive.h"
#include "control/commands.h"
#include "control/server.h"
#include "trigger/trigger.h"

static enum call_result say_result(struct call *c, const char *text)
{
	json_put_text(c->reply, "result", text);
	return CALL_DONE;
}

/* ---- pause, resume ---- */

enum call_result do_pause(struct call *c)
{
	CLEANUP(freep) char *text = xasprintf(
		"%s: paused, arrivals wait in the kernel", c->service->name);
	int r = action_pause(c->service);

	return r < 0 ? call_errno(c, r, NULL) : say_result(c, text);
}

enum call_result do_resume(struct call *c)
{
	CLEANUP(freep) char *text = xasprintf("%s: accepts again",
					      c->service->name);
	int r = action_resume(c->service);

	return r < 0 ? call_errno(c, r, NULL) : say_result(c, text);
}

/* ---- what takes time ---- */

/*
 * An action answers once, perhaps before it returns: LATER says whether the
 * handler is still on the stack.
 */
struct waiting {
	struct call *call;
	bool later, done;
	enum call_result result;
};

static void on_done(void *arg, int result, const char *text)
{
	struct waiting *w = arg;
	struct call *c = w->call;

	w->result = result < 0 ? call_errno(c, result, text)
			       : say_result(c, text ? text : "done");
	w->done = true;
	if (!w->later)
		return;
	w = NULL;
	free(TAKE(c->data));
	call_finish(c, c->error ? CALL_FAILED : CALL_DONE);
}

static struct waiting *begin(struct call *c)
{
	struct waiting *w = xcalloc(1, sizeof(*w));

	w->call = c;
	c->data = w;
	return w;
}

/* After the action was called, which returned R. */
static enum call_result end(struct waiting *w, int r)
{
	struct call *c = w->call;
	enum call_result result = w->result;

	if (!w->done && r == 0) {
		w->later = true;
		return CALL_LATER;
	}
	if (!w->done)
		result = call_errno(c, r, NULL);
	free(TAKE(c->data));
	return result;
}

enum call_result do_drain(struct call *c)
{
	struct waiting *w = begin(c);

	return end(w, action_drain(c->service, call_duration(c, "after", 0),
				   call_flag(c, "wait"), on_done, w));
}

enum call_result do_roll(struct call *c)
{
	struct waiting *w = begin(c);

	return end(w, action_roll(c->service, call_flag(c, "wait"), on_done,
				  w));
}

enum call_result do_reload(struct call *c)
{
	struct waiting *w = begin(c);

	return end(w, action_reload(c->u, call_flag(c, "wait"), on_done, w));
}

/* Only a failure is answered here: when the rehearsal went well, the next
 * thing that this process does is another image's. Who asked sees the
 * connection end, and looks at Status's `upgrade`. */
enum call_result do_upgrade(struct call *c)
{
	CLEANUP(freep) char *why = NULL;
	struct waiting *w = begin(c);
	int r = upgrade_start(c->u, call_text(c, "to"), &why, on_done, w);

	if (r == -EBUSY) {
		free(TAKE(c->data));
		return call_fail(c, ERROR_BUSY, "an upgrade is under way");
	}
	if (r < 0) {
		free(TAKE(c->data));
		return call_fail(c, ERROR_FAILED, "%s", why ?: strerror(-r));
	}
	return end(w, r);
}

enum call_result do_plan(struct call *c)
{
	const char *file = call_text(c, "file");
	struct waiting *w = begin(c);

	json_put_text(c->reply, "file", file ?: c->u->source.path);
	return end(w, action_plan(c->u, file, on_done, w));
}

/* ---- scale ---- */

/* What the file would be told: why `workers` can't be RANGE in S. NULL: it
 * can. */
static char *no_scale(const struct service *s, struct text_range range)
{
	const struct key *k = key_of_service("workers");
	struct conf_service as_set = *s->conf;
	CLEANUP(freep) char *why = derive_cannot(s->conf, k);

	as_set.workers = range;
	return why ? xasprintf("cannot act here: %s", why)
		   : derive_unfit(&as_set, k);
}

enum call_result do_scale(struct call *c)
{
	const char *text = call_text(c, "workers");
	struct service *s = c->service;
	CLEANUP(freep) char *why = NULL;
	struct text_range range;
	int r;

	if (text_range(text, &range) < 0 || range.max == 0)
		return call_invalid(c, "workers", "not '%s'; N or MIN-MAX",
				    text);
	why = no_scale(s, range);
	if (why)
		return call_invalid(c, "workers", "[service %s] workers: %s",
				    s->name, why);
	r = action_scale(s, range);
	if (r == -EOPNOTSUPP)
		return call_invalid(c, "service", "%s has no workers to scale",
				    s->name);
	if (r < 0)
		return call_errno(c, r, NULL);
	json_put(c->reply, "result",
		 json_sprintf("%s: workers %s", s->name, text));
	return CALL_DONE;
}

/* ---- trigger ---- */

static void on_run_end(void *arg, int status, const char *why)
{
	struct call *c = arg;

	json_put(c->reply, "status",
		 status < 0 ? json_null() : json_integer(status));
	json_put_text(c->reply, "result", why ? why : "done");
	call_finish(c, CALL_DONE);
}

static void forget_wait(struct call *c)
{
	trigger_forget(&c->wait);
}

static void begin_wait(struct call *c)
{
	c->wait.fn = on_run_end;
	c->wait.arg = c;
	if (c->service && c->client && !c->oneway)
		c->wait.kept = client_waits(c->client, c->service->slot,
					    c->line);
}

int trigger_call_again(struct client *cl, struct service *s, uint64_t *kept,
		       bool line)
{
	struct call *c = dispatch_again(cl, line);

	begin_wait(c);
	c->wait.kept = kept;
	c->drop = forget_wait;
	return trigger_wait_again(s, &c->wait);
}

/* Does usher see the end of a run? */
static bool end_is_seen(const struct conf_service *cs)
{
	return cs->handler == HANDLER_EXEC &&
	       (cs->handoff == HANDOFF_SPAWN ||
		(cs->handoff == HANDOFF_PASS && cs->reports));
}

enum call_result do_trigger(struct call *c)
{
	struct service *s = c->service;
	const char *message = call_text(c, "message");
	bool wait = call_flag(c, "wait");
	int r;

	if (!s->triggers)
		return call_invalid(c, "service", "%s takes no triggers: it "
				    "has neither trigger nor every", s->name);
	if (wait && !end_is_seen(s->conf))
		return call_invalid(c, "wait", "the end of a run of %s can't "
				    "be seen: that takes handoff = spawn, or "
				    "pass with reports = yes", s->name);
	if (message && strlen(message) > (size_t)s->conf->trigger_max)
		return call_invalid(c, "message", "longer than trigger_max");
	begin_wait(c);
	r = trigger_take(s, message ? message : "",
			 message ? strlen(message) : 0,
			 wait ? &c->wait : NULL);
	if (r == -EAGAIN)
		return call_fail(c, ERROR_BUSY, "trigger_queue of %s is full",
				 s->name);
	if (r < 0)
		return call_errno(c, r, NULL);
	if (wait) {
		c->drop = forget_wait;
		return CALL_LATER;
	}
	json_put(c->reply, "result",
		 json_sprintf("%s: taken, a run follows", s->name));
	return CALL_DONE;
}
