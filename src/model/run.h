/*
 * run - one run of a service's program for a trigger.
 *
 * Made by trigger/ for a message; the handler starts it and says how it
 * ended. The message is bytes of any kind.
 */
#ifndef USHER_MODEL_RUN_H
#define USHER_MODEL_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct service;

struct run {
	uint64_t id;		/* TRIGGER= */
	struct service *service;
	const char *message;
	size_t len;
	bool text;		/* printable, may stand in an environment */
	unsigned tries;
	int record;		/* RECORD_RUN */
	/* Called by the handler, once, when a run that it took has ended.
	 * STATUS: exit status, 128+N for a signal; -1: its end can't be
	 * known. WHY: half a sentence. Set by trigger/. */
	void (*done)(struct run *r, int status, const char *why);
	/* In place of done: it has come back unserved, and is to run. */
	void (*again)(struct run *r);
};

#endif
