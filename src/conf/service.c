/*
 * service - one [service NAME]: its own entries first, then what decides who
 * handles arrivals, then the defaults that can act, then what hangs on others.
 *
 * A key of the section that can't act is a mistake; one of [defaults] is
 * passed over and told once for all services.
 */
#include "conf/service.h"

#include <stdio.h>
#include <string.h>

#include "conf/derive.h"

/* A default that could not act, and where. */
struct mute {
	const struct entry *entry;
	const char *title;	/* of its section */
	char *why;		/* in the first service */
	char *names;		/* the first few services */
	char id[32];		/* its name in the table */
	size_t n;
	struct mute *next;
};

#define MUTE_NAMES 5

static const struct key *key(const char *name)
{
	return key_of_service(name);
}

static bool is_own(const struct service_maker *m, const struct key *k)
{
	return m->own[key_index(k)];
}

/* allow and deny are one list: a service that has either has its own. */
static bool overrides(const struct service_maker *m, const struct key *k)
{
	if (k->type == T_RULES)
		return is_own(m, key("allow")) || is_own(m, key("deny"));
	return is_own(m, k);
}

bool service_shaped_by(const struct key *k)
{
	static const char *const names[] = {
		"exec", "relay", "builtin", "listen", "trigger", "every",
		"handoff", "protocol", "pick", "reports",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(names[i], k->name) == 0)
			return true;
	return false;
}

static bool take(struct service_maker *m, struct conf_service *s,
		 const struct section *from, const struct entry *e)
{
	struct value_in in = {
		.where = e->where, .world = &m->l->world, .kept = m->l->kept,
	};
	CLEANUP(freep) char *why = NULL;

	derive_mark(s, key_index(e->key), e->where);
	if (value_parse(e->key, s, e->value, &in, &why) == 0)
		return true;
	m->unshaped |= service_shaped_by(e->key);
	/* A wrong default is told once, not by each service. */
	if (from->kind == SECTION_SERVICE)
		load_error(m->l, e->where, from->title, e->key->name,
			   "%s; %s", why, e->key->help);
	return false;
}

/* Takes NAME's lines from DEFAULTS unless the section has its own. */
static void take_default(struct service_maker *m, struct conf_service *s,
			 const struct section *defaults, const char *name)
{
	const struct key *k = key(name);

	if (!defaults || overrides(m, k))
		return;
	for (size_t i = 0; i < defaults->n; i++)
		if (defaults->v[i].key == k)
			take(m, s, defaults, &defaults->v[i]);
}

/* K as if it had never been set. */
static void untake(struct service_maker *m, struct conf_service *s,
		   const struct key *k)
{
	if (k->type != T_RULES)
		value_free(k, s);
	if (k->type == T_NUMBER || k->type == T_UMASK || k->type == T_WORD ||
	    k->type == T_DURATION || k->type == T_BYTES ||
	    k->type == T_FRAME || k->type == T_SIZE)
		memcpy((char *)s + k->offset, (char *)&m->preset + k->offset,
		       k->type == T_WORD ? sizeof(int) : sizeof(int64_t));
	else if (k->type == T_SIGNAL)
		s->stop_signal = m->preset.stop_signal;
	else if (k->type == T_BOOL)
		memcpy((char *)s + k->offset, (char *)&m->preset + k->offset,
		       sizeof(bool));
	derive_mark(s, key_index(k), (struct conf_where){ 0 });
}

static void mute(struct service_maker *m, const struct conf_service *s,
		 const struct section *defaults, const struct entry *e,
		 const char *why)
{
	char id[32] = "";
	struct mute *mu;
	CLEANUP(freep) char *before = NULL;

	if (e->key->type == T_RULES) {
		load_error(m->l, e->where, defaults->title, e->key->name,
			   "in %s: %s", s->name, why);
		return;
	}
	snprintf(id, sizeof(id), "%p", (const void *)e);
	mu = names_get(&m->muted, id);
	if (!mu) {
		mu = xcalloc(1, sizeof(*mu));
		memcpy(mu->id, id, sizeof(id));
		mu->entry = e;
		mu->title = defaults->title;
		mu->why = xstrdup(why);
		mu->next = m->mutes;
		m->mutes = mu;
		names_put(&m->muted, mu->id, mu);
	}
	before = mu->names;
	mu->names = mu->n >= MUTE_NAMES
			    ? TAKE(before)
			    : xasprintf("%s%s%s", before ? before : "",
					before ? ", " : "", s->name);
	mu->n++;
}

/* --- who handles arrivals ------------------------------------------------ */

static void shape_handler(struct service_maker *m, struct conf_service *s,
			  const struct section *title,
			  const struct section *defaults)
{
	bool own_builtin = is_own(m, key("builtin"));
	bool own_other = is_own(m, key("exec")) || is_own(m, key("relay"));

	if (!own_builtin) {
		take_default(m, s, defaults, "exec");
		take_default(m, s, defaults, "relay");
		/* Several upstreams are a relay's: no backend has them. */
		if (derive_is_set(s, "exec") && s->relay.n > 1 &&
		    !is_own(m, key("relay")))
			untake(m, s, key("relay"));
	}
	if (!own_other)
		take_default(m, s, defaults, "builtin");
	if (derive_is_set(s, "builtin"))
		s->handler = HANDLER_BUILTIN;
	else if (derive_is_set(s, "exec"))
		s->handler = derive_is_set(s, "relay") ? HANDLER_BACKEND
						       : HANDLER_EXEC;
	else if (derive_is_set(s, "relay"))
		s->handler = HANDLER_RELAY;
	else if (!title->gap)
		load_error(m->l, title->where, title->title, NULL,
			   "nobody deals with arrivals; it needs exec, relay "
			   "or builtin");
}

/* Own words first; a default counts where it does not contradict them. */
static void shape_handoff(struct service_maker *m, struct conf_service *s,
			  const struct section *defaults)
{
	bool own_protocol = is_own(m, key("protocol"));

	if (s->handler != HANDLER_EXEC)
		return;
	if (!is_own(m, key("handoff"))) {
		if (own_protocol && derive_protocol_shares(s->protocol)) {
			s->handoff = HANDOFF_SHARE;
		} else {
			take_default(m, s, defaults, "handoff");
			if (own_protocol &&
			    !derive_protocol_fits(s->protocol, s->handoff))
				untake(m, s, key("handoff"));
		}
	}
	if (own_protocol)
		return;
	take_default(m, s, defaults, "protocol");
	if (!derive_is_set(s, "protocol")) {
		s->protocol = s->handoff == HANDOFF_SHARE ? PROTOCOL_SYSTEMD
							  : PROTOCOL_INETD;
		return;
	}
	if (!derive_is_set(s, "handoff") &&
	    derive_protocol_shares(s->protocol))
		s->handoff = HANDOFF_SHARE;
	if (!derive_protocol_fits(s->protocol, s->handoff)) {
		untake(m, s, key("protocol"));
		s->protocol = s->handoff == HANDOFF_SHARE ? PROTOCOL_SYSTEMD
							  : PROTOCOL_INETD;
	}
}

static void shape(struct service_maker *m, struct conf_service *s,
		  const struct section *title, const struct section *defaults)
{
	shape_handler(m, s, title, defaults);
	take_default(m, s, defaults, "listen");
	if (s->handler == HANDLER_EXEC) {
		take_default(m, s, defaults, "trigger");
		take_default(m, s, defaults, "every");
	}
	shape_handoff(m, s, defaults);
	if (s->handler == HANDLER_EXEC && s->handoff == HANDOFF_PASS) {
		take_default(m, s, defaults, "pick");
		take_default(m, s, defaults, "reports");
	}
	derive_reports(s);
}

/* --- defaults ------------------------------------------------------------ */

static void take_defaults(struct service_maker *m, struct conf_service *s,
			  const struct section *defaults)
{
	for (size_t i = 0; defaults && i < defaults->n; i++) {
		const struct entry *e = &defaults->v[i];
		CLEANUP(freep) char *why = NULL;

		if (overrides(m, e->key))
			continue;
		why = derive_cannot(s, e->key);
		if (!why && service_shaped_by(e->key) &&
		    !derive_where(s, key_index(e->key)).file)
			why = xstrdup("does not go with the service's own "
				      "keys");
		if (why)
			mute(m, s, defaults, e, why);
		else if (!service_shaped_by(e->key))
			take(m, s, defaults, e);
	}
}

/* Defaults whose value does not go with the rest. */
static void drop_unfit(struct service_maker *m, struct conf_service *s,
		       const struct section *defaults)
{
	for (size_t i = 0; defaults && i < defaults->n; i++) {
		const struct entry *e = &defaults->v[i];
		CLEANUP(freep) char *why = NULL;

		if (is_own(m, e->key) ||
		    !derive_where(s, key_index(e->key)).file)
			continue;
		why = derive_unfit(s, e->key);
		if (!why)
			continue;
		mute(m, s, defaults, e, why);
		untake(m, s, e->key);
	}
}

/* --- the section's own keys ---------------------------------------------- */

static void take_own(struct service_maker *m, struct conf_service *s,
		     const struct section *own)
{
	memset(m->own, 0, n_service_keys * sizeof(*m->own));
	for (size_t i = 0; i < own->n; i++) {
		m->own[key_index(own->v[i].key)] = true;
		take(m, s, own, &own->v[i]);
	}
}

/* SOUND: every value is right, so that they may be held against each other. */
static void judge_own(struct service_maker *m, struct conf_service *s,
		      const struct section *own, bool sound)
{
	const struct key *told = NULL;

	for (size_t i = 0; i < own->n; i++) {
		const struct entry *e = &own->v[i];
		CLEANUP(freep) char *why = derive_cannot(s, e->key);
		CLEANUP(freep) char *unfit = sound ? derive_unfit(s, e->key)
						   : NULL;

		if (why)
			load_error(m->l, e->where, own->title, e->key->name,
				   "cannot act here: %s", why);
		else if (unfit && told != e->key)
			load_error(m->l, e->where, own->title, e->key->name,
				   "%s", unfit);
		if (unfit)
			told = e->key;	/* of all its lines, once */
	}
}

/* One of exec, relay, builtin: what a builtin stands beside. */
static bool judge_handler(struct service_maker *m, struct conf_service *s,
			  const struct section *own)
{
	const char *other = derive_is_set(s, "exec")	? "exec"
			    : derive_is_set(s, "relay") ? "relay"
							: NULL;

	if (s->handler == HANDLER_BUILTIN && other) {
		load_error(m->l, derive_where(s, key_index(key("builtin"))),
			   own->title, "builtin",
			   "stands beside %s; a service has one of exec, relay "
			   "and builtin, or exec with relay", other);
		return false;
	}
	return derive_is_set(s, "builtin") || other;
}

static void judge_doors(struct service_maker *m, struct conf_service *s,
			const struct section *own)
{
	if (own->gap)
		return;		/* it may have been that line */
	if (s->handler != HANDLER_EXEC && !derive_is_set(s, "listen"))
		load_error(m->l, own->where, own->title, NULL,
			   "no arrival can reach it; it needs listen");
	else if (!derive_is_set(s, "listen") && !derive_is_set(s, "trigger") &&
		 !s->every)
		load_error(m->l, own->where, own->title, NULL,
			   "no arrival can reach it; it needs listen, trigger "
			   "or every");
}

struct conf_service *service_make(struct service_maker *m,
				  const struct section *own,
				  const struct section *defaults)
{
	struct conf_service *s = xmalloc(sizeof(*s));
	size_t errors = m->l->nerrors;
	bool sound;

	m->unshaped = own->lost;
	*s = m->preset;
	s->name = xstrdup(own->service);
	s->title = xstrdup(own->title);
	s->where = own->where;
	s->spool = m->l->conf->spool;
	take_own(m, s, own);
	shape(m, s, own, defaults);
	take_defaults(m, s, defaults);
	/* What can't act is only worth telling where the rest is known. */
	sound = m->l->nerrors == errors;
	if (judge_handler(m, s, own) && !m->unshaped) {
		derive_defaults(s);
		drop_unfit(m, s, defaults);
		derive_defaults(s);
		judge_doors(m, s, own);
		judge_own(m, s, own, sound);
	}
	return s;
}

void service_maker_open(struct service_maker *m, struct load *l)
{
	struct value_in in = { .world = &l->world };
	struct conf_service *p = &m->preset;

	*m = (struct service_maker){ .l = l };
	m->own = xcalloc(n_service_keys, sizeof(*m->own));
	for (size_t i = 0; i < n_service_keys; i++) {
		const struct key *k = &service_keys[i];
		char *why = NULL;

		if (k->preset)
			(void)value_parse(k, p, k->preset, &in, &why);
		free(why);	/* a wrong preset fails its test */
	}
	p->umask = -1;
	p->oom_score_adjust = CHILD_OOM_ABOVE;
}

void service_maker_close(struct service_maker *m)
{
	struct mute *mu;

	while ((mu = m->mutes)) {
		m->mutes = mu->next;
		if (mu->n > MUTE_NAMES)
			load_note(m->l, mu->entry->where, mu->title,
				  mu->entry->key->name,
				  "does not act in %s and %zu more: %s",
				  mu->names, mu->n - MUTE_NAMES, mu->why);
		else
			load_note(m->l, mu->entry->where, mu->title,
				  mu->entry->key->name,
				  "does not act in %s: %s", mu->names,
				  mu->why);
		free(mu->names);
		free(mu->why);
		free(mu);
	}
	names_free(&m->muted);
	free(m->own);
}
