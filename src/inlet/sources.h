/*
 * sources - how many connections each source has in, and how fast it comes.
 *
 * A source is an IPv4 address, an IPv6 network or a uid, cut by the prefixes
 * of the file. At most SOURCES_MAX are remembered. One that has a connection
 * in is never forgotten; of the others the one that was idle longest goes
 * first, at once when nothing is to be remembered of it. How fast they came
 * outlives this process.
 */
#ifndef USHER_INLET_SOURCES_H
#define USHER_INLET_SOURCES_H

#include "base/bucket.h"
#include "model/model.h"

#define SOURCES_MAX 100000

struct sources;

struct source_key {
	uint8_t bytes[16];
	uint32_t family;
};

struct source {
	struct source_key key;
	uint32_t inside;	/* connections */
	struct bucket bucket;
	/* sources' own: */
	uint32_t chain, before, after;
	bool idle;
};

/* Of the service at SLOT. NULL: no memory is left. */
struct sources *sources_new(uint32_t slot);
/* What an earlier process had in RECORD, taken: nobody is in, what each has
 * used of its rate is known. NULL: it can't be read, RECORD is the caller's. */
struct sources *sources_adopt(int record);
void sources_free(struct sources **s);

/* C's source, cut as CONF says. False: C has none (an unknown peer). */
bool source_key(const struct conf_service *conf, const struct conn *c,
		struct source_key *out);

/* The number (from 1) of KEY's source, or 0: it is not known. */
uint32_t sources_find(struct sources *s, const struct source_key *key);
/*
 * The same, made when it is new: a full bucket, nobody inside. RATE says what
 * is worth remembering. 0: SOURCES_MAX of them have connections in. Good
 * until the next call unless source_enter follows.
 */
uint32_t sources_get(struct sources *s, const struct source_key *key,
		     const struct text_rate *rate, int64_t now);
struct source *source_at(struct sources *s, uint32_t number);

/* A connection comes in, goes out. */
void source_enter(struct sources *s, uint32_t number);
void source_leave(struct sources *s, uint32_t number,
		  const struct text_rate *rate);
/* It was seen and is remembered as the youngest; or forgotten when RATE has
 * nothing to remember. */
void source_seen(struct sources *s, uint32_t number,
		 const struct text_rate *rate);

uint32_t sources_count(const struct sources *s);

#endif
