/*
 * pass - arrivals to workers as descriptors: what pass.c and reports.c share.
 */
#ifndef USHER_WORK_PASS_H
#define USHER_WORK_PASS_H

#include "work/held.h"
#include "work/message.h"
#include "work/pool.h"
#include "work/queue.h"

/* A message that was read back and found no room. */
struct spilt {
	TAILQ_ENTRY(spilt) entry;
	size_t len;
	int n;
	int *fds;
	char data[];
};

/* struct pool's own. */
struct pass {
	struct pool *p;
	bool shared;		/* pick = queue */
	bool asked;		/* room said no: service_room has to follow */
	TAILQ_HEAD(spill, spilt) spill;
	struct held_table *held;	/* with reports */
	uint64_t turn;		/* roundrobin's */
	/* batch: collected in a round of the loop */
	struct message pending;
	int *fds;
	uint32_t npending;
	struct task flush;
};

static inline struct pass *pass_of(const struct pool *p)
{
	return p->own;
}

/* Whoever waits for room may come again. */
void pass_room(struct pool *p);
/* Keeps a message until there is room; its descriptors are taken. */
void pass_spill(struct pool *p, const char *buf, size_t len, const int *fds,
		int n);
/* What spilt goes on, as far as there is room. */
void pass_unspill(struct pool *p);

/* reports.c: */
void reports_hand(struct pool *p, const struct conn *c, struct run *r,
		  struct worker *w);
void reports_said(void *arg, pid_t pid, enum queue_word word, uint64_t id);
/* W died with what it holds. */
void reports_died(struct worker *w, const struct child_exit *e);
/* Nobody will say any more: everything ends. */
void reports_drop(struct pool *p);
void reports_conns(const struct service *s, conn_info_fn *fn, void *arg);
int reports_kill_conn(struct service *s, uint64_t cookie, pid_t *holder);
/* Idle workers; -1: not known. */
int64_t reports_idle(const struct pool *p);

#endif
