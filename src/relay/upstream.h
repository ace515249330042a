/*
 * upstream - where a relay connects to: which one next, who rests, names
 * looked up again beside the loop.
 */
#ifndef USHER_RELAY_UPSTREAM_H
#define USHER_RELAY_UPSTREAM_H

#include "model/model.h"

struct upstreams;

/* One ADDRESS of `relay`. */
struct upstream {
	struct addr addr;	/* its names: resolved, again and again */
	uint32_t id;		/* of its text: the same after a take-over */
	uint32_t conns;		/* connected to it now */
	unsigned refs;
	uint32_t fails;		/* in a row, since FAILED */
	int64_t failed, rests;	/* ms: the first of them; until when */
	uint64_t served, failures;
};

/* Made of S's conf; begins to look names up again. */
struct upstreams *upstreams_open(struct service *s);
void upstreams_close(struct upstreams **u);
/* S's conf is new: those of the same text keep their state. */
void upstreams_changed(struct upstreams *u);
uint32_t upstreams_count(const struct upstreams *u);

/*
 * Who takes PEER's connection: by `balance`, of those whose ids are not among
 * the NTRIED of TRIED; one that rests only when nobody else is left. NULL:
 * all were tried. The reference is the caller's (upstream_unref).
 */
struct upstream *upstream_pick(struct upstreams *u,
			       const struct addr_name *peer,
			       const uint32_t *tried, unsigned ntried);
/* The one with ID, with a reference, or NULL. */
struct upstream *upstream_by_id(struct upstreams *u, uint32_t id);
void upstream_unref(struct upstream **up);

/* It answered; none of its addresses did. */
void upstream_worked(struct upstreams *u, struct upstream *up);
void upstream_failed(struct upstreams *u, struct upstream *up,
		     const char *why);

#endif
