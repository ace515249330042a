/*
 * sources - how many connections each source has in; see sources.h.
 *
 * Entries lie in a memfd of their own, held by a RECORD_SOURCES, so that who
 * takes over knows how fast each came; who is in it counts anew. A source is
 * its number. A hash of chains with a secret seed finds it; its size is fixed,
 * so nothing is ever hashed anew. Idle ones are in a list, the longest idle
 * first.
 */
#include "inlet/sources.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/record.h"

#define HEADS (1u << 17)
/* More tokens than any burst. */
#define SANE  1e12

/* Pages that nobody touches cost nothing. */
struct table {
	uint32_t size;		/* of an entry: another layout begins anew */
	uint32_t used;		/* numbers ever given, 1 to USED */
	struct source entry[SOURCES_MAX];
};

struct sources {
	struct table *t;
	int record;		/* -1: there was none, it goes with us */
	uint32_t *heads;	/* numbers; 0: none */
	uint32_t free;		/* chain of given back ones */
	uint32_t oldest, youngest;	/* of the idle ones */
	uint32_t count;
	uint64_t seed[2];
};

/* A new memfd in a record of SLOT, or -1. */
static int table_record(uint32_t slot)
{
	int record = record_new(RECORD_SOURCES, slot, 0);
	int fd;

	if (record < 0)
		return -1;
	fd = memfd_create("usher-sources", 0);
	if (fd < 0 || ftruncate(fd, sizeof(struct table)) < 0) {
		if (fd >= 0)
			close(fd);
		record_forget(record);
		return -1;
	}
	record_set_fd(record, 0, fd);
	record_commit(record);
	return record;
}

/* Without a record: in our own memory. NULL: none is left. */
static struct table *table_map(int record)
{
	int fd = record < 0 ? -1 : record_at(record)->fd[0];
	int flags = MAP_NORESERVE |
		    (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED);
	struct table *t = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE,
			       flags, fd, 0);

	return t == MAP_FAILED ? NULL : t;
}

static struct sources *sources_on(struct table *t, int record)
{
	struct sources *s = xcalloc(1, sizeof(*s));

	s->t = t;
	s->record = record;
	s->heads = xcalloc(HEADS, sizeof(*s->heads));
	if (getrandom(s->seed, sizeof(s->seed), GRND_NONBLOCK) < 0)
		s->seed[0] = (uint64_t)loop_us();
	return s;
}

struct sources *sources_new(uint32_t slot)
{
	int record = table_record(slot);
	struct table *t = table_map(record);

	if (!t) {
		record_close(record);
		return NULL;
	}
	t->size = sizeof(struct source);
	return sources_on(t, record);
}

void sources_free(struct sources **sp)
{
	struct sources *s = TAKE(*sp);

	if (!s)
		return;
	munmap(s->t, sizeof(*s->t));
	record_close(s->record);
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
	return &s->t->entry[number - 1];
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
	e->key.family = 0;
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
	return s->t->used >= SOURCES_MAX ? 0 : ++s->t->used;
}

/* NUMBER is KEY's from here on: idle, and found. */
static void hang(struct sources *s, uint32_t number,
		 const struct source_key *key, const struct bucket *bucket)
{
	uint32_t *head = head_of(s, key);

	*source_at(s, number) = (struct source){
		.key = *key, .bucket = *bucket, .chain = *head };
	*head = number;
	s->count++;
	idle_on(s, number);
}

uint32_t sources_get(struct sources *s, const struct source_key *key,
		     const struct text_rate *rate, int64_t now)
{
	uint32_t n = sources_find(s, key);

	if (n)
		return n;
	n = number_for(s, rate, now);
	if (n)
		hang(s, n, key, &(struct bucket){ 0 });
	return n;
}

/* ---- after a take-over ---- */

static struct table *table_found(int record)
{
	struct table *t;
	struct stat sb;

	if (fstat(record_at(record)->fd[0], &sb) < 0 ||
	    sb.st_size < (off_t)sizeof(*t))
		return NULL;
	t = table_map(record);
	if (t && (t->size != sizeof(struct source) ||
		  t->used > SOURCES_MAX)) {
		munmap(t, sizeof(*t));
		t = NULL;
	}
	return t;
}

/* A bucket without a time is a new one's: nothing to be remembered. */
static bool worth(const struct source *e, int64_t now)
{
	return e->key.family && e->bucket.at > 0 && e->bucket.at <= now &&
	       isfinite(e->bucket.tokens) && fabs(e->bucket.tokens) < SANE;
}

struct sources *sources_adopt(int record)
{
	struct table *t = table_found(record);
	int64_t now = loop_us();
	struct sources *s;

	if (!t)
		return NULL;
	s = sources_on(t, record);
	for (uint32_t n = 1; n <= t->used; n++) {
		struct source e = *source_at(s, n);

		if (worth(&e, now)) {
			hang(s, n, &e.key, &e.bucket);
			continue;
		}
		source_at(s, n)->key.family = 0;
		source_at(s, n)->chain = s->free;
		s->free = n;
	}
	return s;
}

/* ---- what they do ---- */

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
