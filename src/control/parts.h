/*
 * parts - an answer that goes through all services, a slice a round.
 *
 * Ten thousand services fill megabytes; built and sent in one callback they
 * would hold up every arrival meanwhile. So a step writes a piece of the
 * answer's JSON, steps run for a quarter of one, what they wrote is sent, and
 * the next slice comes in another round, once the client has read. A small
 * answer is a single slice and goes out as one.
 */
#ifndef USHER_CONTROL_PARTS_H
#define USHER_CONTROL_PARTS_H

#include <stdio.h>

#include "control/call.h"

struct parts;
/* Writes the next piece to p->out, a fraction of a millisecond's work. False:
 * that was the last. */
typedef bool parts_fn(struct parts *p);

/* First in a handler's own struct, which is allocated and zeroed. */
struct parts {
	struct call *call;
	FILE *out;
	/* The pieces are the text of the answer's one member `text`, not
	 * JSON. */
	bool text;
	parts_fn *step;
	void (*end)(struct parts *p);	/* frees what hangs on it; or NULL */
	bool single;		/* of one service, the one in slot: it may */
	uint32_t slot;		/* have gone since */
	/* The services at the beginning, by slot; who has gone is left out. */
	uint32_t *slots;
	size_t count, at;
	struct timer timer;
};

/* Begins. P is freed after its end, whatever ends it. Returns what the
 * handler returns. */
enum call_result parts_begin(struct call *c, struct parts *p);

/* The next service (of c->service: the only one) that there still is, or
 * NULL after the last; and back to the first. */
struct service *parts_next(struct parts *p);
void parts_rewind(struct parts *p);
/* Lists anew, and rewinds: ALL, or again what the call is about. */
void parts_list(struct parts *p, bool all);

#endif
