/*
 * explain - what would become of a client from an address, and why.
 *
 * Nothing is counted and nothing changed: the rules are inlet/admit's, what
 * holds the doors is the model's, and both are asked, not copied.
 */
#include <string.h>

#include "base/text.h"
#include "control/commands.h"
#include "control/status.h"
#include "control/store.h"
#include "control/server.h"
#include "inlet/admit.h"

enum verdict { ACCEPT, WAIT, REFUSE };
static const char *const verdicts[] = { "accept", "wait", "refuse" };

struct explain {
	struct call *call;
	struct service *s;
	struct conn conn;
	json_t *steps;
	enum verdict verdict;
};

static void step(struct explain *e, enum verdict v, char *text)
{
	json_array_append_new(e->steps, json_safe_text(text));
	free(text);
	if (v > e->verdict)
		e->verdict = v;
}

/* "uid:N" at a Unix door, or an address with or without a port. */
static bool parse_from(const char *text, struct conn *c)
{
	struct addr_cidr cidr;
	int64_t uid;

	if (strncmp(text, "uid:", 4) == 0 &&
	    text_number(text + 4, 0, UINT32_MAX, &uid) == 0) {
		c->is_unix = c->has_cred = true;
		c->cred = (struct ucred){ .uid = (uid_t)uid,
					  .gid = (gid_t)-1 };
		c->peer.u.sa.sa_family = AF_UNIX;
		c->peer.len = sizeof(sa_family_t);
		return true;
	}
	if (addr_cidr_parse(text, &cidr) < 0)
		return false;
	c->peer.u.sa.sa_family = (sa_family_t)cidr.family;
	if (cidr.family == AF_INET) {
		memcpy(&c->peer.u.in.sin_addr, cidr.bytes, 4);
		c->peer.len = sizeof(c->peer.u.in);
	} else {
		memcpy(&c->peer.u.in6.sin6_addr, cidr.bytes, 16);
		c->peer.len = sizeof(c->peer.u.in6);
	}
	addr_unmap(&c->peer);
	return true;
}

static bool fits(const struct endpoint *ep, const struct conn *c)
{
	int family = ep->name.u.sa.sa_family;

	if (ep->use != USE_LISTEN)
		return false;
	if (c->is_unix)
		return family == AF_UNIX;
	if (family == AF_INET6 && c->peer.u.sa.sa_family == AF_INET)
		/* A dual-stack socket for all takes IPv4 too. */
		return ep->wildcard && ep->addr.opt.v6only != ADDR_YES &&
		       ep->addr.family != AF_INET6;
	return family == c->peer.u.sa.sa_family;
}

static void explain_door(struct explain *e)
{
	struct endpoint *ep;

	TAILQ_FOREACH(ep, &e->s->endpoints, entry) {
		if (!fits(ep, &e->conn))
			continue;
		e->conn.endpoint = ep;
		e->conn.local = ep->name;
		json_put_text(e->call->reply, "endpoint", ep->addr.text);
		step(e, ACCEPT, xasprintf("comes in at %s", ep->addr.text));
		return;
	}
	step(e, REFUSE, xasprintf("no open door of %s is for such a client",
				  e->s->name));
}

static const char *from_proxy(const struct conf_service *cs,
			      const struct conn *c)
{
	if (c->is_unix)
		return cs->accept_proxy.unix_peers ? "unix" : NULL;
	for (size_t i = 0; i < cs->accept_proxy.n; i++)
		if (addr_cidr_match(&cs->accept_proxy.v[i], &c->peer))
			return "accept_proxy";
	return NULL;
}

static void explain_holds(struct explain *e)
{
	static const struct {
		uint32_t bit;
		const char *text;
	} holds[] = {
		{ HOLD_PAUSE, "paused by hand: waits in the kernel's queue" },
		{ HOLD_DRAIN, "draining: waits in the kernel's queue" },
		{ HOLD_RATE, "over rate: waits until it allows one more" },
		{ HOLD_FULL, "full: waits until there is room" },
		{ HOLD_WORK, "its workers take none now: waits for them" },
		{ HOLD_REST, "usher is out of descriptors: waits for one" },
		{ HOLD_LEASE, "the door is lent: its borrower accepts" },
	};
	uint32_t bits = e->s->holds |
			(e->conn.endpoint ? e->conn.endpoint->holds : 0);

	for (size_t i = 0; i < ARRAY_SIZE(holds); i++)
		if (bits & holds[i].bit)
			step(e, WAIT, xstrdup(holds[i].text));
}

static void explain_rules(struct explain *e)
{
	const char *proxy = from_proxy(e->s->conf, &e->conn);
	char *text = NULL;
	int r;

	if (proxy) {
		step(e, ACCEPT, xasprintf("by %s a PROXY header is required; "
					  "rules and limits judge the client "
					  "that it names", proxy));
		return;
	}
	r = admit_explain(e->s, &e->conn, &text);
	if (!text)
		text = xstrdup(r ? refusal_name((enum refusal)(r - 1))
				 : "no rule or limit against it");
	step(e, r ? REFUSE : ACCEPT, text);
}

struct choice {
	const char *state;
	pid_t pid;
};

static void choose(void *arg, const struct worker_info *w)
{
	struct choice *c = arg;

	if (!c->pid && strcmp(w->state, c->state) == 0)
		c->pid = w->pid;
}

static void explain_worker(struct explain *e)
{
	struct service *s = e->s;
	struct choice c = { .state = "idle" };

	if (e->verdict == REFUSE)
		return;
	if (s->holds & HOLD_SHARED) {
		step(e, ACCEPT, xstrdup("the workers accept for themselves: "
					"whichever is first"));
		return;
	}
	if (s->handler->workers && s->work)
		s->handler->workers(s, choose, &c);
	if (c.pid)
		json_put_int(e->call->reply, "worker", c.pid);
	if (c.pid && s->conf->handoff == HANDOFF_PASS &&
	    s->conf->pick == PICK_QUEUE)
		step(e, ACCEPT, xasprintf("goes into the queue (%u wait); "
					  "whichever worker is idle takes it, "
					  "pid %d may", status_waiting(s),
					  (int)c.pid));
	else if (c.pid)
		step(e, ACCEPT, xasprintf("worker %d is idle", (int)c.pid));
	else if (s->conf->handler == HANDLER_EXEC &&
		 s->conf->handoff == HANDOFF_SPAWN)
		step(e, ACCEPT, xasprintf("a process of its own: %s",
					  s->conf->program));
	else
		step(e, ACCEPT, xasprintf("handled by %s",
					  s->handler->name));
}

enum call_result do_explain(struct call *c)
{
	struct explain e = {
		.call = c,
		.s = c->service,
		.conn = { .fd = -1 },
		.steps = json_array(),
	};
	const char *from = call_text(c, "from");

	json_put(c->reply, "steps", e.steps);
	if (!parse_from(from, &e.conn))
		return call_invalid(c, "from", "not '%s'; an address such as "
				    "192.0.2.1, or uid:N", from);
	if (e.s->degraded)
		step(&e, ACCEPT, xasprintf("%s is degraded: %s", e.s->name,
					   e.s->degraded));
	explain_door(&e);
	if (e.verdict == ACCEPT) {
		explain_holds(&e);
		explain_rules(&e);
		explain_worker(&e);
	}
	json_put_text(c->reply, "verdict", verdicts[e.verdict]);
	return CALL_DONE;
}
