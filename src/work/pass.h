/*
 * pass - arrivals to workers as descriptors: what pass.c and reports.c share.
 */
#ifndef USHER_WORK_PASS_H
#define USHER_WORK_PASS_H

#include "work/held.h"
#include "work/message.h"
#include "work/pool.h"
#include "work/queue.h"

/* struct pool's own. */
struct pass {
	struct pool *p;
	bool asked;		/* room said no: service_room has to follow */
	struct held_table *held;	/* with reports; NULL: none so far */
	struct timer sweep;	/* for what nobody says he has taken */
	/* with reports: handed on since somebody said a word, and when that
	 * began; that nobody does is told once */
	uint32_t mute;
	int64_t mute_us;
	bool mute_told;
	uint64_t turn;		/* roundrobin's */
	/* batch: collected in a round of the loop */
	struct conn *pending;
	uint32_t npending;
	struct task flush;
};

static inline struct pass *pass_of(const struct pool *p)
{
	return p->own;
}

/* Where an arrival goes. */
struct target {
	struct generation *g;
	struct worker *w;	/* its own queue */
	struct queue *q;
};

/* Where the next one goes. false: nowhere now. C may be NULL. */
bool pass_aim(struct pool *p, const struct conn *c, struct target *t);
/* One message with COUNT arrivals to T. 0 or -errno. */
int pass_hand(const struct target *t, const struct message *m, const int *fds,
	      int n, uint32_t count);
/* C is on its way, as far as usher sees. */
void pass_gone_on(struct pool *p, const struct conn *c, struct held *h);
struct message_load pass_load(struct pool *p, struct queue *q);
/* Somebody has to be there for what was handed on to G. */
void pass_want_workers(struct pool *p, struct generation *g);
/* Whoever waits for room may come again. */
void pass_room(struct pool *p);
/* There is none at present: service_room will follow. Returns false. */
bool pass_no_room(struct pool *p);

/* batch.c: */
/* Descriptors in a message, for G. */
uint32_t batch_size(const struct generation *g);
/* C goes with others of this round. C->fd is taken. */
void batch_collect(struct pool *p, struct conn *c);
/* What was collected goes now, or waits in the state. */
void batch_flush(struct pool *p);
void batch_end(struct pool *p);

/* back.c: what no worker of Q has taken waits in the state again. */
void back_take(struct pool *p, struct queue *q);

/* reports.c: */
/* C or R is about to be handed to T: noted, in the state too. NULL where
 * workers don't report. */
struct held *reports_hand(struct pool *p, const struct conn *c, struct run *r,
			  const struct target *t);
/* It was not handed on after all. */
void reports_cancel(struct pool *p, struct held *h, const struct conn *c);
/* It came back from a queue. */
void reports_back(struct pool *p, struct held *h);
/* It is nobody's any more. */
void reports_forget(struct pool *p, struct held *h);
struct held *reports_find(const struct pool *p, uint64_t id);
void reports_said(void *arg, pid_t pid, const struct queue_report *said);
/* After a take-over: RECORD_CONNs with CONN_HANDED; what workers hold is
 * counted. Then runs. */
void reports_adopt(struct pool *p);
int reports_attach(struct pool *p, struct run *r);
void reports_conns(const struct service *s, conn_info_fn *fn, void *arg);
int reports_kill_conn(struct service *s, uint64_t cookie, pid_t *holder);
/* Idle workers; -1: not known. */
int64_t reports_idle(const struct pool *p);

/* reports_lost.c: */
/* Who took one says so at once; in so long it is certain that he won't. */
#define REPORTS_LOST_MS 5000
/* H, a connection, is over: that is told. PID had it, or 0: not known. */
void reports_ended(struct pool *p, struct held *h, pid_t pid);
/* After that time looks for what nobody has. */
void reports_sweep(struct pool *p);
/* W died with what it holds. */
void reports_died(struct worker *w, const struct child_exit *e);
/* Nobody will say any more: everything ends. */
void reports_drop(struct pool *p);

#endif
