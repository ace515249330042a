/*
 * pool - the workers of a service: enough, ready, idle, rolling, throttled.
 *
 * For `pass`, `share` and backends (exec with relay). A pool has generations;
 * each has its settings, its queue or channels, and its workers. What a
 * worker is and how it ends is work/worker; how a roll goes is work/roll.
 */
#ifndef USHER_WORK_POOL_H
#define USHER_WORK_POOL_H

#include "model/model.h"
#include "work/dialect.h"
#include "work/notify.h"

enum worker_state {
	WORKER_STARTING,	/* not ready yet */
	WORKER_IDLE,
	WORKER_BUSY,		/* holds worker_connections or said so */
	WORKER_STOPPING,	/* told to go, finishing */
	WORKER_KILLED,		/* stop_signal or SIGKILL was sent */
};

struct worker {
	TAILQ_ENTRY(worker) entry;
	struct generation *generation;
	int record;		/* RECORD_WORKER: fd 0 pidfd, id the pid */
	pid_t pid;
	enum worker_state state;
	bool ready;
	int64_t started, changed, last_used;	/* ms */
	uint32_t holds;		/* connections, by reports */
	uint64_t taken, done;
	int queue;		/* RECORD_QUEUE of its own, or -1 */
	int output;		/* RECORD_OUTPUT or -1 */
	struct notify *notify;
	char *text;		/* STATUS= */
	void *dialect;		/* the dialect's own */
	struct timer limit;	/* start_timeout, then max_age */
	struct timer kill;	/* drain_timeout, stop_timeout */
	struct timer dog;	/* watchdog */
	uint64_t max_requests;	/* with its spread, 0 none */
};

struct generation {
	TAILQ_ENTRY(generation) entry;
	struct service *service;
	uint32_t number;
	struct conf *owner;	/* holds conf */
	const struct conf_service *conf;	/* settings it lives under */
	TAILQ_HEAD(workers, worker) workers;
	uint32_t nworkers, nready;
	int queue;		/* pass: RECORD_QUEUE shared, or -1 */
	const struct dialect *dialect;	/* share, or NULL */
	void *private;		/* the dialect's */
	bool retired;		/* told to leave */
	int64_t retired_at;
};

struct pool {
	struct service *service;
	TAILQ_HEAD(generations, generation) generations; /* newest first */
	/* failures, delays, rolls: see pool.c */
	struct pool_private *p;
};

/* What a dialect or notify tells about a worker. */
void worker_is_ready(struct worker *w);
void worker_is_busy(struct worker *w);	/* TAKEN */
void worker_is_idle(struct worker *w);	/* AVAIL; after busy: one use */
struct worker *worker_by_pid(struct generation *g, pid_t pid);

extern const struct handler handler_pass, handler_share;

#endif
