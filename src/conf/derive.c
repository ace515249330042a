/*
 * derive - what keys mean together.
 *
 * "Where keys act" of usher.ini(5) is here and in the table of keys: the mask
 * says in which kinds of service a key acts, derive_unfit what a value needs
 * beyond that. Nothing is asked of the world outside.
 */
#include "conf/derive.h"

#include <string.h>

#include "base/mem.h"

/* A service sets a few of the many keys: a list of those is a tenth of a
 * place for each. */
static struct conf_set *find_set(const struct conf_service *s, size_t key)
{
	for (size_t i = 0; i < s->nset; i++)
		if (s->set[i].key == key)
			return &s->set[i];
	return NULL;
}

struct conf_where derive_where(const struct conf_service *s, size_t key)
{
	const struct conf_set *set = find_set(s, key);

	return set ? set->where : (struct conf_where){ 0 };
}

void derive_mark(struct conf_service *s, size_t key, struct conf_where where)
{
	struct conf_set *set = find_set(s, key);

	if (!where.file) {
		if (set)
			*set = s->set[--s->nset];
		return;
	}
	if (set)
		return;
	s->set = xrealloc(s->set, (s->nset + 1) * sizeof(*s->set));
	s->set[s->nset++] = (struct conf_set){ (uint16_t)key, where };
}

bool derive_is_set(const struct conf_service *s, const char *key)
{
	return find_set(s, key_index(key_of_service(key))) != NULL;
}

bool derive_protocol_shares(enum conf_protocol protocol)
{
	return protocol != PROTOCOL_INETD && protocol != PROTOCOL_SYSTEMD;
}

bool derive_protocol_fits(enum conf_protocol protocol,
			  enum conf_handoff handoff)
{
	if (handoff == HANDOFF_SPAWN)
		return !derive_protocol_shares(protocol);
	return handoff == HANDOFF_SHARE && protocol != PROTOCOL_INETD;
}

static unsigned acts_of_exec(const struct conf_service *s)
{
	unsigned acts = 0;

	if (s->handoff == HANDOFF_PASS)
		return s->reports ? ACT_P | ACT_R : ACT_P;
	if (s->handoff == HANDOFF_SHARE)
		return s->protocol == PROTOCOL_POSTFIX ||
				       s->protocol == PROTOCOL_EINHORN
			       ? ACT_SH | ACT_ST
			       : ACT_SH;
	if (s->listen.n)
		acts |= ACT_C;
	if (s->trigger.n || s->every)
		acts |= ACT_T;
	return acts ? acts : ACT_C | ACT_T;	/* a mistake told elsewhere */
}

unsigned derive_acts(const struct conf_service *s)
{
	switch (s->handler) {
	case HANDLER_RELAY:
		return ACT_Y;
	case HANDLER_BACKEND:
		return ACT_X;
	case HANDLER_BUILTIN:
		return ACT_B;
	case HANDLER_EXEC:
		break;
	}
	return acts_of_exec(s);
}

/* What S is, and what it therefore does not have. */
static const char *reason(unsigned is, const struct key *k)
{
	bool of_connections = k->acts & (ACT_C | ACT_Y | ACT_B);

	if (is & ACT_SH)
		return !of_connections ? "under handoff = share"
		       : k->acts & ACT_ST
			       ? "under this protocol workers do not report"
			       : "under handoff = share the workers accept "
				 "themselves and usher sees no connection";
	if (is & ACT_P)
		return k->acts & ACT_R ? "under handoff = pass usher sees what "
					 "a worker holds only with reports = "
					 "yes"
				       : "under handoff = pass";
	if (is & ACT_Y)
		return "a relay starts no program and takes no triggers";
	if (is & ACT_B)
		return "a builtin starts no program and takes no triggers";
	if (is & ACT_X)
		return "in a service with exec and relay";
	if (is == ACT_T)
		return "this service takes triggers, not connections";
	if (is == ACT_C && k->acts & ACT_T)
		return "this service takes connections, not triggers";
	return "under handoff = spawn";
}

char *derive_cannot(const struct conf_service *s, const struct key *k)
{
	unsigned is = derive_acts(s);
	CLEANUP(freep) char *where = NULL;

	if (k->acts & is)
		return NULL;
	where = key_acts_text(k->acts);
	return xasprintf("%s; it acts in: %s", reason(is, k),
			 where);
}

/* --- values that need others --------------------------------------------- */

static const char *unfit_protocol(const struct conf_service *s)
{
	if (s->handoff == HANDOFF_SPAWN && derive_protocol_shares(s->protocol))
		return "under handoff = spawn it is inetd or systemd; leave "
		       "handoff out, or make it share";
	if (s->handoff == HANDOFF_SHARE && s->protocol == PROTOCOL_INETD)
		return "inetd acts under handoff = spawn; under share it is "
		       "systemd, wait, fastcgi, postfix, server-starter or "
		       "einhorn";
	if (derive_acts(s) == ACT_T && s->protocol == PROTOCOL_SYSTEMD)
		return "a trigger run has no connection to give; protocol is "
		       "inetd";
	return NULL;
}

static const char *unfit_output(const struct conf_service *s)
{
	if (s->output == OUTPUT_CONNECTION &&
	    (!(derive_acts(s) & ACT_C) || s->protocol != PROTOCOL_INETD))
		return "'connection' acts in spawn with listen and protocol = "
		       "inetd; here it is log, null or inherit";
	return NULL;
}

static const char *unfit_survive(const struct conf_service *s)
{
	if (s->handler == HANDLER_BUILTIN && s->builtin != BUILTIN_ECHO)
		return "of the builtins it acts in echo";
	if (s->relay_workers > 0)
		return "cannot act with relay_workers, whose connections a "
		       "crash of usher does not touch";
	return NULL;
}

static const char *unfit_ready(const struct conf_service *s)
{
	unsigned acts = derive_acts(s);

	if (s->ready.kind == READY_STATUS && !(acts & (ACT_R | ACT_ST)))
		return "'status' acts in share with protocol = postfix or "
		       "einhorn, and in pass with reports = yes";
	if (s->ready.kind == READY_PROBE && !s->ready.probe &&
	    !(acts & ACT_X))
		return "'probe' without an address acts in exec with relay; "
		       "write probe:ADDRESS";
	if (s->ready.kind == READY_FD && acts & ACT_P && s->ready.fd == 3)
		return "descriptor 3 is where the worker receives; take "
		       "another";
	if (s->ready.kind == READY_FD && acts & ACT_SH &&
	    s->ready.fd < 6 + (int)s->listen.n)
		return "that descriptor is one of the protocol's own; take a "
		       "higher one";
	return NULL;
}

static const char *unfit_workers(const struct conf_service *s)
{
	if (s->handler == HANDLER_EXEC && s->protocol == PROTOCOL_WAIT &&
	    (s->workers.min != 0 || s->workers.max != 1))
		return "with protocol = wait it is 0-1: one worker, started "
		       "when something arrives";
	return NULL;
}

static const char *unfit_roll(const struct conf_service *s)
{
	if (s->handler == HANDLER_EXEC && s->protocol == PROTOCOL_WAIT &&
	    s->roll != 0)
		return "with protocol = wait it is 0: two workers can't share "
		       "the socket";
	return NULL;
}

static const char *unfit_reports(const struct conf_service *s)
{
	if (!s->reports && s->pick != PICK_QUEUE)
		return "pick counts what a worker holds, which usher sees only "
		       "with reports = yes";
	return NULL;
}

static const char *unfit_worker_connections(const struct conf_service *s)
{
	if (s->pick == PICK_QUEUE)
		return "cannot act with pick = queue, where whoever is idle "
		       "takes the next; it acts with leastconn, roundrobin and "
		       "source";
	return NULL;
}

static const char *unfit_max_requests(const struct conf_service *s)
{
	if (s->handler == HANDLER_EXEC && s->protocol == PROTOCOL_EINHORN &&
	    s->handoff == HANDOFF_SHARE)
		return "cannot act with protocol = einhorn, which tells no "
		       "requests; it acts with postfix, and in pass with "
		       "reports = yes";
	return NULL;
}

/* Who is denied is told so too, and whose program, backend or upstream can't
 * be had. */
static const char *unfit_refuse_message(const struct conf_service *s)
{
	bool source = s->max_per_source || s->rate_per_source.per_second > 0;

	if (s->on_full == ON_REFUSE || s->on_rate == ON_REFUSE || s->rules.n ||
	    (source && s->on_source_limit == ON_REFUSE) ||
	    (derive_acts(s) & (ACT_C | ACT_Y | ACT_X)))
		return NULL;
	return "nobody is refused here; it acts with allow or deny, and where "
	       "on_full, on_rate or on_source_limit is refuse";
}

static const char *unfit_relay(const struct conf_service *s)
{
	if (s->handler == HANDLER_BACKEND && s->relay.n > 1)
		return "exec with relay has one relay: the program's own "
		       "address";
	return NULL;
}

static const char *unfit_respawn_max(const struct conf_service *s)
{
	if (s->respawn_max < s->respawn_delay)
		return "shorter than respawn_delay";
	return NULL;
}

static const struct {
	const char *key;
	const char *(*unfit)(const struct conf_service *s);
} fits[] = {
	{ "protocol", unfit_protocol },
	{ "output", unfit_output },
	{ "survive", unfit_survive },
	{ "ready", unfit_ready },
	{ "workers", unfit_workers },
	{ "roll", unfit_roll },
	{ "reports", unfit_reports },
	{ "worker_connections", unfit_worker_connections },
	{ "max_requests", unfit_max_requests },
	{ "refuse_message", unfit_refuse_message },
	{ "relay", unfit_relay },
	{ "respawn_max", unfit_respawn_max },
};

char *derive_unfit(const struct conf_service *s, const struct key *k)
{
	const char *why;

	for (size_t i = 0; i < ARRAY_SIZE(fits); i++) {
		if (strcmp(fits[i].key, k->name) != 0)
			continue;
		why = fits[i].unfit(s);
		return why ? xstrdup(why) : NULL;
	}
	return NULL;
}

bool derive_prints(const struct conf_service *s, const struct key *k)
{
	CLEANUP(freep) char *why = NULL;

	if (!(k->acts & derive_acts(s)))
		return false;
	if (strcmp(k->name, "every") == 0)
		return s->every != 0;
	why = derive_unfit(s, k);
	return !why;
}

/* --- defaults ------------------------------------------------------------ */

void derive_reports(struct conf_service *s)
{
	if (!derive_is_set(s, "reports"))
		s->reports = s->handler == HANDLER_EXEC &&
			     s->handoff == HANDOFF_PASS &&
			     s->pick != PICK_QUEUE;
}

/* Can two generations not overlap? */
static bool rolls_alone(const struct conf_service *s)
{
	if (s->handler == HANDLER_BACKEND)
		return true;
	return s->handler == HANDLER_EXEC && s->handoff == HANDOFF_SHARE &&
	       (s->protocol == PROTOCOL_WAIT ||
		(s->protocol == PROTOCOL_POSTFIX && s->workers.max == 1));
}

/* So many arrivals may be on their way to the processes of a relay. */
#define RELAY_QUEUE 64

/* relay_workers: a pool of processes of our own image, which are passed each
 * connection and say when it ends. */
static void derive_relay_workers(struct conf_service *s)
{
	uint32_t n = (uint32_t)s->relay_workers;

	if (s->handler != HANDLER_RELAY || n == 0)
		return;
	/* Derived again where a default fell away. */
	if (!s->program) {
		s->program = xstrdup("/proc/self/exe");
		strv_push(&s->argv, xstrdup("usher"));
		strv_push(&s->argv, xstrdup("relay-worker"));
	}
	s->handoff = HANDOFF_PASS;
	s->pick = PICK_QUEUE;
	s->reports = true;
	s->workers = (struct text_range){ n, n };
	s->worker_connections = UINT32_MAX;
	s->queue_limit = RELAY_QUEUE;
}

void derive_defaults(struct conf_service *s)
{
	bool wait = s->handler == HANDLER_EXEC &&
		    s->handoff == HANDOFF_SHARE &&
		    s->protocol == PROTOCOL_WAIT;
	bool backend = s->handler == HANDLER_BACKEND;

	if (!derive_is_set(s, "workers"))
		s->workers = (struct text_range){ wait || backend ? 0 : 1, 1 };
	if (!derive_is_set(s, "queue_limit"))
		s->queue_limit = s->workers.max;
	if (!derive_is_set(s, "max_connections"))
		s->max_connections = derive_acts(s) & ACT_C ? 100 : 0;
	if (!derive_is_set(s, "roll"))
		s->roll = rolls_alone(s) ? 0 : 1;
	/* Not shorter than the first delay that somebody wished. */
	if (!derive_is_set(s, "respawn_max") &&
	    s->respawn_max < s->respawn_delay)
		s->respawn_max = s->respawn_delay;
	if (!derive_is_set(s, "ready"))
		s->ready.kind = backend ? READY_PROBE : READY_EXEC;
	derive_relay_workers(s);
}
