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
	 * and ready = status act. (Einhorn's ack makes ready = status act
	 * too, but nobody says who is busy.) */
	bool status;
	/* Workers start only when something arrives, one at a time, and
	 * nothing is watched until it exits (inetd's wait). The door is also
	 * their 1 and 2: no output is opened for them. */
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
	/* A record of the dialect found by a take-over: RECORD_STATUS, or
	 * RECORD_READY with arg DIALECT_ACK. Its id is the number of the
	 * generation that it belongs to. 0, or -errno: it is closed. */
	int (*adopt)(struct generation *g, int record);
	/* A trigger is given to the service's own door (Postfix's wake-up),
	 * no worker is told. 0 or -errno. NULL: triggers can't be. */
	int (*fire)(struct generation *g, const char *message, size_t len);
};

/* RECORD_READY's arg when it is a dialect's (Einhorn's control socket). */
#define DIALECT_ACK 0x61636b

/* The table: by protocol, NULL for none (inetd). */
const struct dialect *dialect_of(enum conf_protocol p);

extern const struct dialect dialect_systemd, dialect_wait, dialect_fastcgi,
	dialect_postfix, dialect_server_starter, dialect_einhorn;

/* The doors that workers of G accept on (its service's, or those that a trial
 * is given) become the start's
 * descriptors from FIRST on; EACH (may be NULL) hears of everyone. Returns
 * how many, or -EMFILE: a start can't take so many. */
int dialect_doors(struct generation *g, struct launch *l, int first,
		  void (*each)(void *arg, const struct endpoint *ep, int fd),
		  void *arg);
/* The one door of a protocol that has room for one; -errno when there are
 * none or more (the loader refuses that). */
int dialect_door(struct generation *g);
/* The NAME of a door: its option name=, or the service's. */
const char *dialect_door_name(const struct service *s,
			      const struct endpoint *ep);

#endif
