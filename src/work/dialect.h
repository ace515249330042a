/*
 * dialect - how a program that accepts for itself is told of its sockets
 * (handoff = share): one short file and one line in the table each.
 *
 * A dialect prepares a start, and may have channels on which workers speak:
 * one for a generation (Postfix's status), or one for a worker (Einhorn's
 * ack). What it learns it tells the pool through struct dialect_events.
 */
#ifndef USHER_WORK_DIALECT_H
#define USHER_WORK_DIALECT_H

#include "model/model.h"
#include "work/launch.h"

struct generation;	/* work/pool.h */
struct worker;

struct dialect {
	enum conf_protocol protocol;
	const char *name;
	/* Does usher see who is busy (a status channel)? Then max_requests
	 * and ready = status act. */
	bool status;
	/* Workers start only when something arrives, one at a time, and
	 * nothing is watched until it exits (inetd's wait). */
	bool wait;

	/* A generation begins: channels. D->private is the dialect's. 0 or
	 * -errno. NULL: nothing to do. */
	int (*open)(struct generation *g);
	/* Adds descriptors and words for a start of W. */
	int (*prepare)(struct generation *g, struct worker *w,
		       struct launch *l);
	/* The start succeeded (close what was the child's). */
	void (*started)(struct generation *g, struct worker *w);
	/* W ended: close its own channel. */
	void (*ended)(struct generation *g, struct worker *w);
	/* Tell all of the generation to leave when idle (Postfix: end of
	 * status). NULL: stop_signal is what they get. */
	void (*leave)(struct generation *g);
	void (*close)(struct generation *g);
	/* A record of the dialect (RECORD_STATUS, RECORD_FLOW, RECORD_READY)
	 * found by a take-over. */
	int (*adopt)(struct generation *g, int record);
};

/* The table: by protocol, NULL for none (inetd). */
const struct dialect *dialect_of(enum conf_protocol p);

#endif
