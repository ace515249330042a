/*
 * admit - who may come in, before a worker sees anything; see admit.h.
 */
#include "inlet/admit.h"

#include <string.h>

#include "inlet/listener.h"

struct admit {
	uint32_t inside;
	bool full;
};

static struct admit *of(struct service *s)
{
	if (!s->admit)
		s->admit = xcalloc(1, sizeof(*s->admit));
	return s->admit;
}

static bool full(const struct service *s, const struct admit *a)
{
	return s->conf->max_connections &&
	       a->inside >= (uint32_t)s->conf->max_connections;
}

bool admit_room(struct service *s)
{
	struct admit *a = of(s);

	if (s->conf->on_full != ON_WAIT || !full(s, a))
		return true;
	a->full = true;
	s->holds |= HOLD_FULL;
	return false;
}

static bool matches(const struct conf_rule *r, const struct conn *c)
{
	if (r->kind == RULE_CIDR)
		return addr_cidr_match(&r->cidr, &c->peer);
	if (!c->has_cred)
		return false;
	return r->id == (r->kind == RULE_USER ? c->cred.uid : c->cred.gid);
}

/* First match wins; with any allow of its kind the rest is denied. */
static bool allowed(const struct service *s, const struct conn *c)
{
	bool any_allow = false;

	for (size_t i = 0; i < s->conf->rules.n; i++) {
		const struct conf_rule *r = &s->conf->rules.v[i];

		if ((r->kind == RULE_CIDR) == c->is_unix)
			continue;
		if (matches(r, c))
			return r->allow;
		any_allow |= r->allow;
	}
	return !any_allow;
}

int admit_check(struct service *s, struct conn *c, enum conf_on *how)
{
	struct admit *a = of(s);

	if (!allowed(s, c)) {
		*how = ON_REFUSE;
		return 1 + REFUSED_DENIED;
	}
	if (full(s, a) && s->conf->on_full != ON_WAIT) {
		*how = s->conf->on_full;
		return 1 + REFUSED_FULL;
	}
	a->inside++;
	c->source = 1;
	return 0;
}

void admit_enter(struct service *s, struct conn *c)
{
	of(s)->inside++;
	c->source = 1;
}

void admit_leave(struct service *s, uint32_t source)
{
	struct admit *a = of(s);

	if (!source)
		return;
	a->inside--;
	if (a->full && !full(s, a)) {
		a->full = false;
		service_room(s);
	}
}

int admit_trigger(struct service *s, const struct conn *c)
{
	return allowed(s, c) ? 0 : 1 + REFUSED_DENIED;
}

void admit_changed(struct service *s)
{
	service_room(s);
}

void admit_free(struct service *s)
{
	free(TAKE(s->admit));
}

int admit_explain(struct service *s, const struct conn *c, char **out)
{
	bool yes = allowed(s, c);

	*out = xasprintf("%s by allow and deny", yes ? "let in" : "denied");
	return yes ? 0 : 1 + REFUSED_DENIED;
}

uint32_t admit_inside(const struct service *s)
{
	return s->admit ? s->admit->inside : 0;
}

uint32_t admit_sources(const struct service *s)
{
	return admit_inside(s) > 0;
}
