/*
 * admit - who may come in, before a worker sees anything; see admit.h.
 *
 * Judged in this order: allow and deny, what its source has and how fast it
 * comes, the rate of all, the number of all. So what a noisy source is
 * refused takes nothing from the others. A service without any of these costs
 * a counter.
 */
#include "inlet/admit.h"

#include <errno.h>
#include <string.h>

#include "base/bucket.h"
#include "inlet/listener.h"
#include "inlet/rules.h"
#include "inlet/sources.h"

/* Handles: 0 nothing is held, 1 a place, from 2 on a source's too. */
#define PLACE 1

struct admit {
	uint32_t inside;
	bool open;		/* no rule, no rate, no source's limit */
	bool by_source;
	bool said_full;		/* service_room is owed */
	struct sources *sources;
	struct timer rate;	/* HOLD_RATE ends */
};

static bool has_rate(const struct conf_service *c)
{
	return c->rate.per_second > 0;
}

static bool by_source(const struct conf_service *c)
{
	return c->max_per_source || c->rate_per_source.per_second > 0;
}

/* No limit asks for them any more, and nobody is counted there. */
static void forget_sources(struct admit *a)
{
	if (!a->by_source && a->inside == 0)
		sources_free(&a->sources);
}

/* Without memory for sources nobody is kept out for one. */
static void learn(struct service *s, struct admit *a)
{
	const struct conf_service *c = s->conf;

	if (by_source(c) && !a->sources)
		a->sources = sources_new(s->slot);
	a->by_source = by_source(c) && a->sources;
	a->open = !a->by_source && !has_rate(c) && c->rules.n == 0;
	forget_sources(a);
}

static struct admit *of(struct service *s)
{
	if (!s->admit) {
		s->admit = xcalloc(1, sizeof(*s->admit));
		learn(s, s->admit);
	}
	return s->admit;
}

void admit_open(struct service *s)
{
	if (by_source(s->conf))
		of(s);
}

int admit_adopt(struct service *s, int record)
{
	struct sources *found;

	if (s->admit || !by_source(s->conf))
		return -ENOENT;
	found = sources_adopt(record);
	if (!found)
		return -EINVAL;
	s->admit = xcalloc(1, sizeof(*s->admit));
	s->admit->sources = found;
	learn(s, s->admit);
	return 0;
}

/* ---- the number of all ---- */

/* What is reading its PROXY header has been accepted already. */
static bool full(const struct service *s, const struct admit *a)
{
	return s->conf->max_connections &&
	       a->inside + s->nheaders >=
		       (uint32_t)s->conf->max_connections;
}

/* ---- the rate of all ---- */

static struct bucket *bucket_of(struct service *s)
{
	return &s->data->rate;
}

/* The timer is late by what a loop's round takes: what was due meanwhile
 * would have been taken. */
static void on_rate(void *arg)
{
	struct service *s = arg;
	struct bucket *b = bucket_of(s);
	int64_t now = loop_us();

	bucket_fill(b, &s->conf->rate, now,
		    (double)(now - b->at) * s->conf->rate.per_second / 1e6);
	service_release(s, HOLD_RATE);
	service_room(s);
}

static bool wait_for_rate(struct service *s, struct admit *a)
{
	bucket_fill(bucket_of(s), &s->conf->rate, loop_us(), 0);
	if (bucket_has(bucket_of(s)))
		return true;
	s->holds |= HOLD_RATE;
	timer_set(s->u->loop, &a->rate,
		  (bucket_wait(bucket_of(s), &s->conf->rate) + 999) / 1000,
		  on_rate, s);
	return false;
}

bool admit_room(struct service *s)
{
	struct admit *a = of(s);

	if (s->conf->on_full == ON_WAIT && full(s, a)) {
		a->said_full = true;
		s->holds |= HOLD_FULL;
		return false;
	}
	if (has_rate(s->conf) && s->conf->on_rate == ON_WAIT)
		return wait_for_rate(s, a);
	return true;
}

/* Where the door waits it was held for it, so it is only counted. */
static bool rate_takes(struct service *s)
{
	bucket_fill(bucket_of(s), &s->conf->rate, loop_us(), 0);
	if (s->conf->on_rate != ON_WAIT)
		return bucket_take(bucket_of(s));
	bucket_of(s)->tokens -= 1;
	return true;
}

/* ---- a source's limits ---- */

/* 0 or 1 + the refusal. */
static int judge_source(const struct conf_service *c, struct source *e,
			int64_t now)
{
	if (c->max_per_source && e->inside >= (uint32_t)c->max_per_source)
		return 1 + REFUSED_SOURCE;
	if (c->rate_per_source.per_second > 0) {
		bucket_fill(&e->bucket, &c->rate_per_source, now, 0);
		if (!bucket_has(&e->bucket))
			return 1 + REFUSED_SOURCE_RATE;
	}
	return 0;
}

/* *NUMBER: the source that C was found to be, 0 when it has none. */
static int check_source(struct service *s, struct admit *a,
			const struct conn *c, uint32_t *number)
{
	const struct conf_service *conf = s->conf;
	int64_t now = a->by_source ? loop_us() : 0;
	struct source_key key;
	int verdict;

	*number = 0;
	if (!a->by_source || !source_key(conf, c, &key))
		return 0;
	*number = sources_get(a->sources, &key, &conf->rate_per_source, now);
	if (!*number)
		return 0;
	verdict = judge_source(conf, source_at(a->sources, *number), now);
	source_seen(a->sources, *number, &conf->rate_per_source);
	return verdict;
}

/* ---- all of them ---- */

/* On success the tokens are taken. CONN: C is a connection, and where the
 * door waits for room and rate it has waited. */
static int judge(struct service *s, struct admit *a, const struct conn *c,
		 bool conn, enum conf_on *how)
{
	const struct conf_service *conf = s->conf;
	const struct conf_rule *rule;
	uint32_t source;
	int verdict;

	if (conf->rules.n && !rules_allow(&conf->rules, c, &rule)) {
		*how = ON_REFUSE;
		return 1 + REFUSED_DENIED;
	}
	verdict = check_source(s, a, c, &source);
	if (verdict) {
		*how = conf->on_source_limit;
		return verdict;
	}
	if (conn && conf->on_full != ON_WAIT && full(s, a)) {
		*how = conf->on_full;
		return 1 + REFUSED_FULL;
	}
	if (conn && has_rate(conf) && !rate_takes(s)) {
		*how = conf->on_rate;
		return 1 + REFUSED_RATE;
	}
	if (source && conf->rate_per_source.per_second > 0)
		source_at(a->sources, source)->bucket.tokens -= 1;
	return 0;
}

static uint32_t enter(struct service *s, struct admit *a, const struct conn *c)
{
	struct source_key key;
	uint32_t number;

	a->inside++;
	if (!a->by_source || !source_key(s->conf, c, &key))
		return PLACE;
	number = sources_get(a->sources, &key, &s->conf->rate_per_source,
			     loop_us());
	if (!number)
		return PLACE;
	source_enter(a->sources, number);
	return PLACE + number;
}

int admit_check(struct service *s, struct conn *c, enum conf_on *how)
{
	struct admit *a = of(s);
	int verdict;

	if (a->open && (!s->conf->max_connections || !full(s, a))) {
		a->inside++;
		c->source = PLACE;
		return 0;
	}
	verdict = judge(s, a, c, true, how);
	if (!verdict)
		c->source = enter(s, a, c);
	return verdict;
}

void admit_enter(struct service *s, struct conn *c)
{
	c->source = enter(s, of(s), c);
}

void admit_expect(struct service *s, int more)
{
	of(s)->inside += (uint32_t)more;
}

void admit_leave(struct service *s, uint32_t source)
{
	struct admit *a = of(s);

	if (source)
		a->inside--;
	if (source > PLACE)
		source_leave(a->sources, source - PLACE,
			     &s->conf->rate_per_source);
	forget_sources(a);
	if (a->said_full && !full(s, a)) {
		a->said_full = false;
		service_room(s);
	}
}

int admit_trigger(struct service *s, const struct conn *c)
{
	struct admit *a = of(s);
	enum conf_on how;

	return a->open ? 0 : judge(s, a, c, false, &how);
}

void admit_changed(struct service *s)
{
	struct admit *a = of(s);

	learn(s, a);
	timer_cancel(s->u->loop, &a->rate);
	if (bucket_of(s)->tokens > s->conf->rate.burst)
		bucket_of(s)->tokens = s->conf->rate.burst;
	service_release(s, HOLD_RATE);
	service_room(s);
}

void admit_free(struct service *s)
{
	struct admit *a = TAKE(s->admit);

	if (!a)
		return;
	timer_cancel(s->u->loop, &a->rate);
	sources_free(&a->sources);
	free(a);
}

uint32_t admit_inside(const struct service *s)
{
	return s->admit ? s->admit->inside : 0;
}

uint32_t admit_sources(const struct service *s)
{
	return s->admit ? sources_count(s->admit->sources) : 0;
}

/* ---- explain: the same questions, nothing is taken ---- */

static void say(char **out, char *text)
{
	char *old = *out;

	*out = old ? xasprintf("%s; %s", old, text) : xstrdup(text);
	free(old);
	free(text);
}

static int explain_rules(struct service *s, const struct conn *c, char **out)
{
	const struct conf_rule *rule = NULL;
	bool yes;

	if (!s->conf->rules.n)
		return 0;
	yes = rules_allow(&s->conf->rules, c, &rule);
	if (rule)
		say(out, xasprintf("%s (%s:%u)", rule->text,
				   rule->where.file ?: "default",
				   rule->where.line));
	else
		say(out, xasprintf(yes ? "no allow or deny is about it"
				       : "no allow matches, so it is denied"));
	return yes ? 0 : 1 + REFUSED_DENIED;
}

static int explain_source(struct service *s, const struct conn *c, char **out)
{
	struct admit *a = of(s);
	const struct conf_service *conf = s->conf;
	struct source_key key;
	struct source copy = { 0 };
	uint32_t number;
	int verdict;

	if (!a->by_source || !source_key(conf, c, &key))
		return 0;
	number = sources_find(a->sources, &key);
	if (number)
		copy = *source_at(a->sources, number);
	verdict = judge_source(conf, &copy, loop_us());
	if (conf->max_per_source)
		say(out, xasprintf("max_per_source: its source has %u of %lld "
				   "in", copy.inside,
				   (long long)conf->max_per_source));
	if (verdict == 1 + REFUSED_SOURCE_RATE)
		say(out, xasprintf("rate_per_source: its next is due in "
				   "%lld ms",
				   (long long)bucket_wait(
					&copy.bucket,
					&conf->rate_per_source) / 1000));
	return verdict;
}

static int explain_all(struct service *s, char **out)
{
	const struct admit *a = of(s);
	const struct conf_service *conf = s->conf;
	struct bucket copy = *bucket_of(s);
	int verdict = 0;

	if (has_rate(conf)) {
		bucket_fill(&copy, &conf->rate, loop_us(), 0);
		if (!bucket_has(&copy) && conf->on_rate != ON_WAIT)
			verdict = 1 + REFUSED_RATE;
		if (!bucket_has(&copy))
			say(out, xasprintf("rate: the next is due in %lld ms",
					   (long long)bucket_wait(
						&copy, &conf->rate) / 1000));
	}
	if (!conf->max_connections)
		return verdict;
	say(out, xasprintf("max_connections: %u of %lld in", a->inside,
			   (long long)conf->max_connections));
	if (!verdict && full(s, a) && conf->on_full != ON_WAIT)
		verdict = 1 + REFUSED_FULL;
	return verdict;
}

int admit_explain(struct service *s, const struct conn *c, char **out)
{
	int verdict;

	*out = NULL;
	verdict = explain_rules(s, c, out);
	if (!verdict)
		verdict = explain_source(s, c, out);
	if (!verdict)
		verdict = explain_all(s, out);
	return verdict;
}
