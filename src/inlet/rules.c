/*
 * rules - allow and deny; see rules.h.
 */
#include "inlet/rules.h"

#include "base/fd.h"

/* The peer's groups, asked once and only when a rule wants them. */
struct groups {
	gid_t *v;
	int n;
	bool asked;
};

static bool in_group(const struct conn *c, struct groups *g, gid_t gid)
{
	if (c->cred.gid == gid)
		return true;
	if (!g->asked && c->fd >= 0)
		g->n = fd_peergroups(c->fd, &g->v);
	g->asked = true;
	for (int i = 0; i < g->n; i++)
		if (g->v[i] == gid)
			return true;
	return false;
}

static bool matches(const struct conf_rule *r, const struct conn *c,
		    struct groups *g)
{
	switch (r->kind) {
	case RULE_CIDR:
		return addr_cidr_match(&r->cidr, &c->peer);
	case RULE_USER:
		return c->has_cred && c->cred.uid == r->id;
	case RULE_GROUP:
		return c->has_cred && in_group(c, g, r->id);
	}
	return false;
}

bool rules_allow(const struct conf_rules *rules, const struct conn *c,
		 const struct conf_rule **rule)
{
	struct groups g = { 0 };
	bool any_allow = false, yes = false;

	*rule = NULL;
	for (size_t i = 0; i < rules->n && !*rule; i++) {
		const struct conf_rule *r = &rules->v[i];

		if ((r->kind == RULE_CIDR) == c->is_unix)
			continue;
		any_allow |= r->allow;
		if (matches(r, c, &g)) {
			*rule = r;
			yes = r->allow;
		}
	}
	free(g.v);
	return *rule ? yes : !any_allow;
}
