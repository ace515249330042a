/*
 * upstream - where a relay connects to; see upstream.h.
 *
 * A failure counts when none of an upstream's addresses answered. max_fails
 * of them within fail_timeout, and it rests so long; it is still better than
 * nobody. An answer forgets them.
 */
#include "relay/upstream.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/resolve.h"

struct place {
	struct upstreams *home;
	struct upstream *up;
	struct lookup *lookup;
};

struct upstreams {
	struct service *service;
	struct place *v;
	uint32_t n;
	uint32_t next;		/* roundrobin, leastconn: whose turn */
	struct timer again;
};

static uint32_t hash_bytes(const void *p, size_t n, uint32_t h)
{
	const unsigned char *b = p;

	for (size_t i = 0; i < n; i++)
		h = (h ^ b[i]) * 16777619u;
	return h;
}

/* FNV-1a leaves neighbours close together: spread. */
static uint32_t spread(uint32_t h)
{
	h = (h ^ h >> 16) * 0x7feb352du;
	h = (h ^ h >> 15) * 0x846ca68bu;
	return h ^ h >> 16;
}

static uint32_t id_of(const struct addr *a)
{
	return hash_bytes(a->text, strlen(a->text), 2166136261u);
}

/* ---- names ---- */

static bool has_name(const struct addr *a)
{
	unsigned char ip[16];

	return a->host && inet_pton(AF_INET, a->host, ip) != 1 &&
	       inet_pton(AF_INET6, a->host, ip) != 1;
}

static void on_resolved(void *arg, int result, struct addr *a, const char *why)
{
	struct place *p = arg;
	struct addr *ours = &p->up->addr;

	p->lookup = NULL;
	if (result < 0 || a->nnames == 0) {
		service_log(p->home->service, LOG_LEVEL_WARNING,
			    "upstream %s: %s; its last addresses stay",
			    ours->text, why ? why : strerror(-result));
		return;
	}
	free(ours->names);
	ours->names = TAKE(a->names);
	ours->nnames = a->nnames;
	a->nnames = 0;
}

/* A look-up has so long where they are not looked up again. */
#define LOOKUP_MS 60000

static int64_t resolve_every(const struct upstreams *u)
{
	return u->service->owner->resolve_every;
}

static void look_up(struct upstreams *u, bool missing_only)
{
	struct usher *ush = u->service->u;

	for (uint32_t i = 0; i < u->n; i++) {
		struct place *p = &u->v[i];
		struct addr *a = &p->up->addr;

		if (p->lookup || !has_name(a) || (missing_only && a->nnames))
			continue;
		if (!ush->resolver &&
		    resolve_open(ush->loop, &ush->resolver) < 0)
			return;
		p->lookup = resolve_start(ush->resolver, a, false,
					  resolve_every(u) > 0
					  ? resolve_every(u) : LOOKUP_MS,
					  on_resolved, p);
	}
}

static void on_again(void *arg)
{
	struct upstreams *u = arg;

	look_up(u, false);
	timer_set(u->service->u->loop, &u->again, resolve_every(u), on_again,
		  u);
}

/* Where only numbers are named there is no timer: a loop that has none waits
 * for events alone, which is cheaper each round. */
static void look_up_again(struct upstreams *u)
{
	bool any = false;

	for (uint32_t i = 0; i < u->n; i++)
		any |= has_name(&u->v[i].up->addr);
	if (any && resolve_every(u) > 0)
		timer_set(u->service->u->loop, &u->again, resolve_every(u),
			  on_again, u);
	else
		timer_cancel(u->service->u->loop, &u->again);
}

/* ---- the list ---- */

static void place_end(struct place *p)
{
	resolve_cancel(&p->lookup);
	upstream_unref(&p->up);
}

static struct upstream *upstream_new(const struct addr *a)
{
	struct upstream *up = xcalloc(1, sizeof(*up));

	addr_copy(&up->addr, a);
	up->id = id_of(a);
	up->refs = 1;
	return up;
}

void upstream_unref(struct upstream **upp)
{
	struct upstream *up = TAKE(*upp);

	if (!up || --up->refs)
		return;
	addr_free(&up->addr);
	free(up);
}

struct upstream *upstream_by_id(struct upstreams *u, uint32_t id)
{
	for (uint32_t i = 0; i < u->n; i++)
		if (u->v[i].up->id == id) {
			u->v[i].up->refs++;
			return u->v[i].up;
		}
	return NULL;
}

/* The options may differ, the names are fresh from the load. */
static void take_over(struct upstream *up, const struct addr *a)
{
	struct addr old = up->addr;

	addr_copy(&up->addr, a);
	if (up->addr.nnames == 0) {
		up->addr.names = TAKE(old.names);
		up->addr.nnames = old.nnames;
	}
	addr_free(&old);
}

void upstreams_changed(struct upstreams *u)
{
	const struct conf_addrs *want = &u->service->conf->relay;
	struct place *v = xcalloc(want->n, sizeof(*v));

	for (uint32_t i = 0; i < want->n; i++) {
		const struct addr *a = &want->v[i].addr;

		v[i].home = u;
		v[i].up = upstream_by_id(u, id_of(a));
		if (v[i].up)
			take_over(v[i].up, a);
		else
			v[i].up = upstream_new(a);
	}
	for (uint32_t i = 0; i < u->n; i++)
		place_end(&u->v[i]);
	free(u->v);
	u->v = v;
	u->n = (uint32_t)want->n;
	look_up(u, true);
	look_up_again(u);
}

struct upstreams *upstreams_open(struct service *s)
{
	struct upstreams *u = xcalloc(1, sizeof(*u));

	u->service = s;
	upstreams_changed(u);
	return u;
}

void upstreams_close(struct upstreams **up)
{
	struct upstreams *u = TAKE(*up);

	timer_cancel(u->service->u->loop, &u->again);
	for (uint32_t i = 0; i < u->n; i++)
		place_end(&u->v[i]);
	free(u->v);
	free(u);
}

/* ---- who is next ---- */

static bool was_tried(const struct upstream *up, const uint32_t *tried,
		      unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (tried[i] == up->id)
			return true;
	return false;
}

static uint32_t hash_peer(const struct addr_name *peer)
{
	if (peer->u.sa.sa_family == AF_INET)
		return hash_bytes(&peer->u.in.sin_addr, 4, 2166136261u);
	if (peer->u.sa.sa_family == AF_INET6)
		return hash_bytes(&peer->u.in6.sin6_addr, 16, 2166136261u);
	return 0;
}

/* Is A better than B for this connection? By rendezvous hashing a source
 * keeps its upstream when another one comes or goes. */
static bool better(enum conf_balance how, const struct upstream *a,
		   const struct upstream *b, uint32_t source)
{
	if (how == BALANCE_LEASTCONN)
		return a->conns < b->conns;
	if (how == BALANCE_SOURCE)
		return spread(a->id ^ source) > spread(b->id ^ source);
	return false;
}

static struct upstream *best(struct upstreams *u, const struct addr_name *peer,
			     const uint32_t *tried, unsigned ntried,
			     bool resting)
{
	enum conf_balance how = u->service->conf->balance;
	int64_t now = loop_now(u->service->u->loop);
	bool turns = how == BALANCE_ROUNDROBIN || how == BALANCE_LEASTCONN;
	uint32_t source = how == BALANCE_SOURCE ? spread(hash_peer(peer)) : 0;
	uint32_t from = turns ? u->next : 0, at = 0;
	struct upstream *found = NULL;

	for (uint32_t k = 0; k < u->n; k++) {
		uint32_t i = (from + k) % u->n;
		struct upstream *up = u->v[i].up;

		if ((up->rests > now) != resting ||
		    (ntried && was_tried(up, tried, ntried)))
			continue;
		if (found && !better(how, up, found, source))
			continue;
		found = up;
		at = i;
		if (how == BALANCE_FIRST || how == BALANCE_ROUNDROBIN)
			break;
	}
	if (found && turns)
		u->next = at + 1;
	return found;
}

struct upstream *upstream_pick(struct upstreams *u,
			       const struct addr_name *peer,
			       const uint32_t *tried, unsigned ntried)
{
	struct upstream *up = best(u, peer, tried, ntried, false);

	if (!up)
		up = best(u, peer, tried, ntried, true);
	if (up)
		up->refs++;
	return up;
}

void upstream_worked(struct upstreams *u, struct upstream *up)
{
	up->served++;
	if (!up->fails)
		return;
	if (up->rests)
		service_log(u->service, LOG_LEVEL_NOTICE,
			    "upstream %s answers again", up->addr.text);
	up->fails = 0;
	up->rests = 0;
}

void upstream_failed(struct upstreams *u, struct upstream *up, const char *why)
{
	const struct conf_service *c = u->service->conf;
	int64_t now = loop_now(u->service->u->loop);

	up->failures++;
	if (up->fails == 0 || (now - up->failed > c->fail_timeout &&
			       up->rests <= now)) {
		up->failed = now;
		up->fails = 0;
	}
	if (up->fails++ == 0 && !up->rests)
		service_log(u->service, LOG_LEVEL_WARNING, "upstream %s: %s",
			    up->addr.text, why);
	if (c->max_fails == 0 || up->fails < (uint32_t)c->max_fails ||
	    up->rests > now)
		return;
	if (!up->rests)
		service_log(u->service, LOG_LEVEL_WARNING,
			    "upstream %s failed %u times: it rests for "
			    "fail_timeout at a time", up->addr.text,
			    up->fails);
	up->rests = now + c->fail_timeout;
}
