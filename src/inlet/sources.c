/*
 * sources - how many connections each source has in; see sources.h.
 *
 * Entries lie in chunks that never move, a source is its number. A hash of
 * chains with a secret seed finds it; its size is fixed, so nothing is ever
 * hashed anew. Idle ones are in a list, the longest idle first.
 */
#include "inlet/sources.h"

#include <string.h>
#include <sys/random.h>

#define CHUNK  1024
#define CHUNKS ((SOURCES_MAX + CHUNK) / CHUNK)
#define HEADS  (1u << 17)

struct sources {
	struct source *chunk[CHUNKS];
	uint32_t *heads;	/* numbers; 0: none */
	uint32_t used;		/* numbers ever given, 1 to USED */
	uint32_t free;		/* chain of given back ones */
	uint32_t oldest, youngest;	/* of the idle ones */
	uint32_t count;
	uint64_t seed[2];
};

struct sources *sources_new(void)
{
	struct sources *s = xcalloc(1, sizeof(*s));

	/* Pages that nobody touches cost nothing. */
	s->heads = xcalloc(HEADS, sizeof(*s->heads));
	if (getrandom(s->seed, sizeof(s->seed), GRND_NONBLOCK) < 0)
		s->seed[0] = (uint64_t)loop_us();
	return s;
}

void sources_free(struct sources **sp)
{
	struct sources *s = TAKE(*sp);

	if (!s)
		return;
	for (size_t i = 0; i < CHUNKS; i++)
		free(s->chunk[i]);
	free(s->heads);
	free(s);
}

/* ---- keys ---- */

static void cut(uint8_t *bytes, size_t n, int64_t prefix)
{
	for (size_t i = 0; i < n; i++, prefix -= 8)
		if (prefix < 8)
			bytes[i] &= prefix > 0
				  ? (uint8_t)(0xff << (8 - prefix)) : 0;
}

bool source_key(const struct conf_service *conf, const struct conn *c,
		struct source_key *out)
{
	memset(out, 0, sizeof(*out));
	out->family = c->peer.u.sa.sa_family;
	if (out->family == AF_INET) {
		memcpy(out->bytes, &c->peer.u.in.sin_addr, 4);
		cut(out->bytes, 4, conf->source_prefix4);
	} else if (out->family == AF_INET6) {
		memcpy(out->bytes, &c->peer.u.in6.sin6_addr, 16);
		cut(out->bytes, 16, conf->source_prefix6);
	} else if (c->has_cred) {
		memcpy(out->bytes, &c->cred.uid, sizeof(c->cred.uid));
	} else {
		return false;
	}
	return true;
}

static uint64_t mix(uint64_t h)
{
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93ull;
	return h ^ h >> 32;
}

static uint32_t *head_of(struct sources *s, const struct source_key *key)
{
	uint64_t a, b;

	memcpy(&a, key->bytes, 8);
	memcpy(&b, key->bytes + 8, 8);
	a = mix(a ^ s->seed[0]);
	a = mix(a ^ b ^ s->seed[1]);
	return &s->heads[mix(a ^ key->family) % HEADS];
}

static bool same(const struct source_key *a, const struct source_key *b)
{
	return a->family == b->family && memcmp(a->bytes, b->bytes, 16) == 0;
}

/* ---- entries ---- */

struct source *source_at(struct sources *s, uint32_t number)
{
	return &s->chunk[(number - 1) / CHUNK][(number - 1) % CHUNK];
}

static void idle_off(struct sources *s, uint32_t number)
{
	struct source *e = source_at(s, number);

	if (!e->idle)
		return;
	e->idle = false;
	if (e->before)
		source_at(s, e->before)->after = e->after;
	else
		s->oldest = e->after;
	if (e->after)
		source_at(s, e->after)->before = e->before;
	else
		s->youngest = e->before;
}

static void idle_on(struct sources *s, uint32_t number)
{
	struct source *e = source_at(s, number);

	e->idle = true;
	e->after = 0;
	e->before = s->youngest;
	if (s->youngest)
		source_at(s, s->youngest)->after = number;
	else
		s->oldest = number;
	s->youngest = number;
}

static void forget(struct sources *s, uint32_t number)
{
	struct source *e = source_at(s, number);
	uint32_t *at = head_of(s, &e->key);

	idle_off(s, number);
	while (*at != number)
		at = &source_at(s, *at)->chain;
	*at = e->chain;
	e->chain = s->free;
	s->free = number;
	s->count--;
}

uint32_t sources_find(struct sources *s, const struct source_key *key)
{
	uint32_t n = *head_of(s, key);

	while (n && !same(&source_at(s, n)->key, key))
		n = source_at(s, n)->chain;
	return n;
}

/* A number for a new one: of who need not be remembered, a fresh one, of who
 * was idle longest. */
static uint32_t number_for(struct sources *s, const struct text_rate *rate,
			   int64_t now)
{
	uint32_t old = s->oldest, n;

	if (old && (s->count >= SOURCES_MAX ||
		    bucket_full(&source_at(s, old)->bucket, rate, now)))
		forget(s, old);
	n = s->free;
	if (n) {
		s->free = source_at(s, n)->chain;
		return n;
	}
	if (s->used >= SOURCES_MAX)
		return 0;
	n = ++s->used;
	if (!s->chunk[(n - 1) / CHUNK])
		s->chunk[(n - 1) / CHUNK] = xcalloc(CHUNK,
						    sizeof(struct source));
	return n;
}

uint32_t sources_get(struct sources *s, const struct source_key *key,
		     const struct text_rate *rate, int64_t now)
{
	uint32_t n = sources_find(s, key), *head;
	struct source *e;

	if (n)
		return n;
	n = number_for(s, rate, now);
	if (!n)
		return 0;
	head = head_of(s, key);
	e = source_at(s, n);
	*e = (struct source){ .key = *key, .chain = *head };
	*head = n;
	s->count++;
	idle_on(s, n);
	return n;
}

void source_enter(struct sources *s, uint32_t number)
{
	idle_off(s, number);
	source_at(s, number)->inside++;
}

void source_seen(struct sources *s, uint32_t number,
		 const struct text_rate *rate)
{
	if (source_at(s, number)->inside)
		return;
	idle_off(s, number);
	if (rate->per_second > 0)
		idle_on(s, number);
	else
		forget(s, number);
}

void source_leave(struct sources *s, uint32_t number,
		  const struct text_rate *rate)
{
	source_at(s, number)->inside--;
	source_seen(s, number, rate);
}

uint32_t sources_count(const struct sources *s)
{
	return s ? s->count : 0;
}
