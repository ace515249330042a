/*
 * held - what was handed on to workers that report: who has what.
 *
 * An arrival is in here from its hand-off to its `done` (or its worker's
 * death), by SO_COOKIE or the trigger's number. Each has a record too, so
 * that the table outlives usher.
 */
#ifndef USHER_WORK_HELD_H
#define USHER_WORK_HELD_H

#include "inlet/arrival.h"
#include "model/run.h"
#include "work/pool.h"

struct held {
	LIST_ENTRY(held) entry;
	uint64_t id;
	int record;		/* RECORD_CONN, CONN_HANDED; -1: none */
	struct worker *worker;	/* who took it (own queue: shall take); NULL */
	bool taken;
	bool is_run;		/* a trigger's */
	bool finished;		/* done came before its run was attached */
	struct run *run;	/* is_run: NULL until it is attached */
	struct conn_end end;	/* a connection's */
	int64_t handed_us;
};

struct held_table;

struct held_table *held_new(void);
void held_free(struct held_table **t);
struct held *held_add(struct held_table *t, uint64_t id);
struct held *held_find(struct held_table *t, uint64_t id);
void held_remove(struct held_table *t, struct held *h);
uint32_t held_count(const struct held_table *t);
/* Calls FN for each, which may remove the one that it is given. */
void held_each(struct held_table *t, void (*fn)(void *arg, struct held *h),
	       void *arg);

#endif
