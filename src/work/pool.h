/*
 * pool - the workers of a service: enough, ready, idle, rolling, throttled.
 *
 * For `pass`, `share` and backends (exec with relay). A pool has generations;
 * each has its settings, its queue or channels, and its workers. What a
 * worker is and how it ends is work/worker; how a roll goes is work/roll; how
 * arrivals reach workers is work/pass and work/queue, or the workers' own
 * business (work/share).
 */
#ifndef USHER_WORK_POOL_H
#define USHER_WORK_POOL_H

#include "model/model.h"
#include "work/dialect.h"
#include "work/notify.h"

/* The C library's sys/queue.h has none: ENTRY may end in the body. */
#ifndef TAILQ_FOREACH_SAFE
#define TAILQ_FOREACH_SAFE(var, head, field, next)                    \
	for ((var) = TAILQ_FIRST(head);                               \
	     (var) && ((next) = TAILQ_NEXT(var, field), 1); (var) = (next))
#endif

struct held;
struct pool;
struct queue;
struct roll;
struct trying;

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
	bool heard;		/* it said that it is busy, or idle again */
	int64_t started, changed, last_used;	/* ms */
	uint32_t holds;		/* connections, by reports */
	uint64_t taken, done;
	struct queue *queue;	/* of its own, or NULL */
	int output;		/* RECORD_OUTPUT or -1 */
	struct notify *notify;
	char *text;		/* STATUS= */
	void *dialect;		/* the dialect's own */
	struct timer limit;	/* start_timeout, then max_age */
	struct timer kill;	/* drain_timeout, stop_timeout */
	struct timer dog;	/* watchdog */
	struct timer stuck;	/* its own queue, not read */
	uint64_t max_requests;	/* with its spread, 0 none */

	uint64_t max_memory;	/* with its spread, 0 none */
	uint32_t outstanding;	/* own queue: handed on, not done */
	uint64_t handed;	/* the generation's count at its start */
	int readiness;		/* RECORD_READY: pipe or probe, or -1 */
	struct timer probe;	/* the next try, after: */
	const char *due;	/* a limit was reached: which; NULL */
	bool leaving;		/* a replacement is on its way or not needed */
	bool replacing;		/* counted in the pool's */
	bool replacement;	/* it was started for one that leaves */
	const char *fault;	/* why usher ends it: a failure; NULL */
	bool failed;		/* it has ended by a failure */
};

struct generation {
	TAILQ_ENTRY(generation) entry;
	struct service *service;
	struct pool *pool;
	uint32_t number;
	struct conf *owner;	/* holds conf */
	const struct conf_service *conf;	/* settings it lives under */
	TAILQ_HEAD(workers, worker) workers;
	uint32_t nworkers, nready;
	uint32_t nleaving;	/* of nworkers: told to go, or killed */
	struct queue *queue;	/* pass: the shared one, or NULL */
	uint64_t handed;	/* arrivals handed on */
	const struct dialect *dialect;	/* share, or NULL */
	void *private;		/* the dialect's */
	bool retired;		/* told to leave */
	bool adopted;		/* of an earlier usher */
	bool trial;		/* a reload's: it may never serve */
	struct endpoint *const *doors;	/* while that starts; NULL: all of */
	size_t ndoors;			/* the service */
	int64_t retired_at;
};

/* What differs between those who use a pool. */
struct pool_kind {
	const char *name;
	/* A generation begins and ends: queue, channels. 0 or -errno. */
	int (*open)(struct generation *g);
	void (*close)(struct generation *g);
	/* Descriptors and words for a start of W; the start went well. */
	int (*prepare)(struct worker *w, struct launch *l);
	void (*started)(struct worker *w);
	/* After a take-over: what hangs from W's record. */
	void (*adopted)(struct worker *w);
	/* All that was found is hung in, save what is claimed now. */
	void (*hung)(struct pool *p);
	/* It can take arrivals (again). */
	void (*usable)(struct worker *w);
	/* Had it something to do in its life? NULL: if the generation's count
	 * of what was handed on has grown. */
	bool (*served)(struct worker *w);
	/* So many that leave at once, unserved as it seems, are no failure:
	 * where that can't be seen for certain. */
	unsigned idlers;
	/* It has died (E may say how), and is about to be freed. */
	void (*died)(struct worker *w, const struct child_exit *e);
	/* Tells all of G to finish, or W alone where there is a way: true,
	 * else a signal is what it gets. */
	bool (*leave)(struct generation *g);
	bool (*leave_one)(struct worker *w);
	/* Whoever of G is idle goes (one). false: there is no such way. */
	bool (*farewell)(struct generation *g);
	/* A roll is over: what waits at OLD goes to NEW. */
	void (*move)(struct generation *old, struct generation *new);
	/* How many arrivals wait for a worker of G. */
	uint32_t (*waiting)(struct generation *g);
	/* Descriptors that workers store (NULL: refused). FD is taken. */
	void (*store)(struct pool *p, int fd, const char *name, bool poll);
	void (*unstore)(struct pool *p, const char *name);
	/* Enough workers, or not: look at arrivals, or away. */
	void (*watch)(struct pool *p);
};

struct pool {
	struct service *service;
	const struct pool_kind *kind;
	void *own;		/* the kind's */
	TAILQ_HEAD(generations, generation) generations; /* newest first */
	struct generation *current;	/* serves; NULL: none yet */
	struct generation *next;	/* a roll's, before it took over */
	struct generation *beside;	/* a stopped roll's: serves on too */
	struct roll *roll;		/* under way, or NULL */
	struct trying *trying;		/* a reload's, or NULL */
	struct task balance;	/* enough workers? */
	struct timer burst;	/* more starts than one round may have */
	struct timer retry;	/* after failures */
	struct timer grow;	/* do arrivals still wait? */
	struct timer rest;	/* too many workers? */
	struct timer memory;	/* max_memory */
	struct timer healthy;	/* failures are forgotten */
	unsigned failures;	/* in a row */
	unsigned idlers;	/* that left at once, in a row */
	int64_t waited_at;	/* ms: arrivals were seen waiting */
	uint32_t replacing;	/* workers that reached a limit, going */
	uint32_t farewells;	/* empty messages that nobody took yet */
	uint32_t wanted;	/* serving workers, asked for by arrivals */
	unsigned tries;		/* at the end, for what still waits */
	bool proved;		/* a worker lived for a while */
	bool held;		/* roll = 0: the old go first */
	bool resume;			/* a roll was under way at a kill */
	bool started, stopping, gone;
	unsigned now;		/* 1: stop_signal, 2: SIGKILL */
	struct task end;
	int *found;		/* records of an earlier usher; -1: hung in */
	size_t nfound;
};

/* What a dialect or notify tells about a worker. */
void worker_is_ready(struct worker *w);
void worker_is_busy(struct worker *w);	/* TAKEN */
void worker_is_idle(struct worker *w);	/* AVAIL; after busy: one use */
struct worker *worker_by_pid(struct generation *g, pid_t pid);

/* ---- the operations that handlers are made of ---- */

struct pool *pool_new(struct service *s, const struct pool_kind *kind);
void pool_free(struct pool **p);

int pool_start(struct pool *p);
/* Looks in this round's tasks whether there are enough workers. */
void pool_balance(struct pool *p);
/* Arrivals wait: looks soon whether they still do, and starts workers. */
void pool_wanted(struct pool *p);
/* One more worker at once, if one may be: nobody is there for an arrival. */
void pool_need(struct pool *p, uint32_t n);
/* Begins to end: what waits is still served; NOW: kills. */
void pool_stop(struct pool *p, bool now);
/* Workers that serve or start, of the current generation. */
uint32_t pool_serving(const struct pool *p);
/* The range of workers is another one. */
int pool_scale(struct pool *p);
/* The service's settings are others; BITS of conf_diff. What acts at once is
 * the current generation's from now on. */
void pool_settings(struct pool *p, unsigned bits);
/* As struct handler's same. */
void pool_same(struct service *s, const struct conf_service *old);
/* A worker of G is started: 0, or -errno (told). */
int pool_start_worker(struct generation *g, bool replacement);

struct generation *generation_open(struct pool *p, uint32_t number,
				   struct conf *owner,
				   const struct conf_service *conf, int *error);
/* G is the current one, in the state too. */
void pool_serves(struct pool *p, struct generation *g);
/* Told to leave: all its workers. */
void generation_retire(struct generation *g);
/* No workers are left: frees it. */
void generation_close(struct generation *g);
struct generation *pool_generation(struct pool *p, uint32_t number);

/* W of P has ended as E says: failure or not, what now. Called by worker. */
void pool_worker_ended(struct worker *w, const struct child_exit *e);
/* The start of a worker of G failed, WHY it was. */
void pool_start_failed(struct generation *g, const char *why);
void pool_worker_ready(struct worker *w);
/* Those who are ready prove that the program lives. */
void pool_prove(struct pool *p);
/* What the next generation is called. */
uint32_t pool_next_number(const struct pool *p);

/* ---- trial.c: a worker that a reload starts before it commits ---- */

/* As struct handler's prepare and unprepare. */
int pool_try(struct pool *p, const struct trial *t, char **why);
void pool_untry(struct service *s);
/* The reload has committed: the generation that was tried, the caller's now,
 * or NULL where there is none that fits. One of settings that are not in
 * force yet is left alone. */
struct generation *trial_take(struct pool *p);
/* Is W a reload's? It is ready; it has ended. */
bool trial_has(const struct worker *w);
void trial_ready(struct worker *w);
void trial_ended(struct worker *w, const struct child_exit *e);

/* ---- pool_replace.c ---- */

/* Workers that reached a limit are replaced; replacements that are ready let
 * theirs go; max_memory is looked at from now on. */
void pool_replace_due(struct pool *p);
void pool_finish_replacements(struct pool *p);
/* A replacement has ended before its time: who was to go stays until it
 * reaches its limit anew. */
void pool_replacement_lost(struct pool *p);
void pool_watch_memory(struct pool *p);

/* ---- adopt.c: after a take-over ---- */

/* As struct handler's adopt: kept until pool_take_over. */
int pool_found(struct pool *p, int index);
/* Builds generations and workers of what was found. */
void pool_take_over(struct pool *p);
#define RECORD_ANY UINT32_MAX
/* A found record of KIND with ARG (or RECORD_ANY) and ID that nobody hung in:
 * its index, now the caller's, or -1. */
int pool_claim(struct pool *p, enum record_kind kind, uint32_t arg,
	       uint64_t id);
/* Record INDEX is hung in. false: it was not found, or is already. */
bool pool_claim_index(struct pool *p, int index);

/* For handlers' tables. */
void pool_workers(const struct service *s, worker_info_fn *fn, void *arg);
int pool_kill_worker(struct service *s, pid_t pid);

extern const struct handler handler_pass, handler_share;

#endif
