/*
 * model - what is running: start reading here.
 *
 * One struct usher holds the services; a service has endpoints (its doors), a
 * handler that deals with arrivals, and counters that live in the state.
 * Everything else hangs from these. A connection walks: loop -> listener
 * (inlet) -> arrival (inlet: admission, PROXY header) -> the service's handler
 * (work, relay, builtin). A trigger walks: loop -> request (inlet) -> trigger
 * -> the handler's run. What changes the model is an action (action/).
 *
 * This floor knows no sockets' tricks and no programs.
 */
#ifndef USHER_MODEL_MODEL_H
#define USHER_MODEL_MODEL_H

#include <sys/queue.h>

#include "base/addr.h"
#include "base/bucket.h"
#include "base/loop.h"
#include "base/record.h"
#include "base/stats.h"
#include "conf/conf.h"

struct usher;
struct service;
struct endpoint;
struct conn;
struct run;

/* Why a connection or trigger was refused; each has its counter. */
enum refusal {
	REFUSED_FULL,		/* max_connections or queue_limit, on_full */
	REFUSED_RATE,		/* rate */
	REFUSED_SOURCE,		/* max_per_source */
	REFUSED_SOURCE_RATE,	/* rate_per_source */
	REFUSED_DENIED,		/* allow, deny */
	REFUSED_PROXY,		/* no or a wrong PROXY header */
	REFUSED_BACKEND,	/* no upstream, backend did not come up */
	REFUSED_START,		/* its program could not be started */
	REFUSED_TORN,		/* a trigger's stream ended inside a frame */
	REFUSED_LONG,		/* a trigger over trigger_max */
	REFUSED_SLOW,		/* a trigger over trigger_timeout */
	REFUSED_FDS,		/* descriptors that came with a trigger */
	REFUSED_KINDS,
};
const char *refusal_name(enum refusal why);	/* "full", "rate", ... */

/* A service's block in the state: counters and what was set by hand. */
enum slot_set { SET_PAUSED = 1, SET_SCALED = 2, SET_DRAINED = 4 };

struct slot_data {
	uint32_t generation;	/* one more at each roll */
	uint32_t set;		/* bits of slot_set */
	struct text_range scale;
	uint64_t since;		/* ms: in this state */
	struct stats_rate arrivals;	/* connections accepted */
	struct stats_rate triggers;	/* taken */
	uint64_t served;	/* handed on, or carried to their end */
	uint64_t refused[REFUSED_KINDS];
	uint64_t starts, failures;	/* of workers and runs */
	uint64_t rolls, runs, coalesced, gossip;
	uint64_t output_dropped;	/* bytes of workers' output */
	uint64_t bytes_up, bytes_down;	/* relays */
	struct stats_hist to_handoff, to_taken;
	struct bucket rate;	/* inlet/admit's: of `rate` */
	uint32_t serving;	/* the generation that takes arrivals */
	uint32_t rolling;	/* 1: another is about to take over */
};
_Static_assert(sizeof(struct slot_data) <= SLOT_DATA, "slot_data");

/* Why a service's doors are not looked at; none: they are. */
enum hold {
	HOLD_FULL = 1,		/* its handler has no room */
	HOLD_PAUSE = 2,		/* usher pause */
	HOLD_DRAIN = 4,
	HOLD_RATE = 8,		/* rate with on_rate = wait */
	HOLD_WORK = 16,		/* its handler takes none now: backing off,
				 * rolling with roll = 0 */
	HOLD_SHARED = 32,	/* workers accept themselves (share) */
	/* of one endpoint: */
	HOLD_REST = 64,		/* out of descriptors: looked away a while */
	HOLD_LEASE = 128,	/* lent to a program */
	HOLD_LULL = 256,	/* triggers in a flood: read in a moment */
};

/* A worker (or a running program, a backend) as people are told of it. */
struct worker_info {
	pid_t pid;
	uint32_t generation;
	const char *state;	/* starting, idle, busy, stopping, killed */
	int64_t age_ms;
	uint64_t requests;
	uint32_t holds;		/* connections, where that is known */
	const char *text;	/* STATUS=, or NULL; any bytes */
};
typedef void worker_info_fn(void *arg, const struct worker_info *w);

/* A connection that usher still knows of. */
struct conn_info {
	uint64_t cookie;
	const struct addr_name *peer;
	int64_t age_ms;
	pid_t worker;		/* 0: none, or not known */
	int64_t up, down;	/* bytes, -1: not known */
	const char *state;	/* waiting, queued, connecting, open */
};
typedef void conn_info_fn(void *arg, const struct conn_info *c);

/* What a reload tries before it commits. */
struct trial {
	struct conf *owner;		/* holds conf */
	const struct conf_service *conf;
	struct endpoint *const *doors;	/* that it will have; not kept */
	size_t ndoors;
	void (*done)(void *arg, int result, const char *why);
	void *arg;
};

/*
 * What deals with a service's arrivals: spawn, pass, share, relay, backend,
 * builtins. One table entry each (see action/handlers.c).
 */
struct handler {
	const char *name;

	/* The endpoints are open: start what is needed. 0 or -errno (told in
	 * service_degrade already); called again after a degrade by the
	 * handler's own timer, never by others. s->work is the handler's. */
	int (*start)(struct service *s);

	/* May another connection be accepted now? When it says no it must
	 * call service_room() once it would say yes. NULL: always. */
	bool (*room)(struct service *s);

	/* A connection. 0: it is the handler's now (also when it failed and
	 * was closed and counted). -EAGAIN: not now, after all; it stays the
	 * caller's, who offers it again after service_room(). */
	int (*arrive)(struct service *s, struct conn *c);

	/* A trigger's run (trigger/). 0: started or queued, and run_done()
	 * will be called (spawn, pass with reports) or was; -EAGAIN: not
	 * now, service_room() will follow. NULL: no triggers. */
	int (*run)(struct service *s, struct run *r);

	/* s->conf is new, OLD was it; BITS of conf_diff. Brings into force
	 * what acts at once; with CONF_WORKERS the caller rolls next. NULL:
	 * nothing is to be done. */
	void (*changed)(struct service *s, const struct conf_service *old,
			unsigned bits);

	/* s->conf says the same as OLD did, which goes away: nothing may point
	 * there any longer. NULL: nothing does. */
	void (*same)(struct service *s, const struct conf_service *old);

	/* After a take-over: R was running. 0: its process is known here, and
	 * done will be called; else it is run again. NULL: none is known. */
	int (*attach)(struct service *s, struct run *r);

	/* A reload wants one worker under T's settings, beside those that
	 * serve, before it commits. 0: it has been started, and T->done will
	 * be called: with 0 when it is ready, with -errno when it has failed
	 * (after that too). Else -errno, *WHY allocated. The roll or start
	 * after the commit begins with that worker; unprepare ends it. NULL:
	 * there is nothing to try. */
	int (*prepare)(struct service *s, const struct trial *t, char **why);
	void (*unprepare)(struct service *s);

	/* A new generation takes over. DONE (may be NULL) is called once
	 * when it has settled (0) or failed (-errno, text why), or was
	 * overtaken (-ECANCELED). -EOPNOTSUPP: nothing to roll. NULL: there
	 * never is; ask by service_roll(). */
	int (*roll)(struct service *s,
		    void (*done)(void *arg, int result, const char *why),
		    void *arg);

	/* Sets workers to the range in s->data->scale. */
	int (*scale)(struct service *s);

	/* No arrivals come any more: finish what there is, then call
	 * service_gone(). NOW: stop_signal to all, after stop_timeout
	 * SIGKILL; a second time with NOW: SIGKILL at once. */
	void (*stop)(struct service *s, bool now);

	/* How much is in flight: connections, runs, queued. */
	uint32_t (*busy)(const struct service *s);

	/* After a take-over: hang record INDEX (a kind of the handler's, of
	 * this service) into s->work; start() is called afterwards and
	 * starts only what is missing. 0 or -errno: it is closed. */
	int (*adopt)(struct service *s, int index);

	/* Frees s->work; nothing is in flight. */
	void (*end)(struct service *s);

	/* For status: each worker, each connection known; how many arrivals
	 * wait for a worker. NULL: there are none. */
	void (*workers)(const struct service *s, worker_info_fn *fn, void *arg);
	void (*conns)(const struct service *s, conn_info_fn *fn, void *arg);
	uint32_t (*queued)(const struct service *s);

	/* Ends connection COOKIE (a relay's is reset, a spawned one's program
	 * killed). 0; -ENOENT: not here; -EOPNOTSUPP: it was given away, and
	 * *HOLDER is the worker (0: not known). NULL: as -ENOENT. */
	int (*kill_conn)(struct service *s, uint64_t cookie, pid_t *holder);
	/* Ends worker PID: stop_signal, then SIGKILL after stop_timeout. 0 or
	 * -ENOENT. */
	int (*kill_worker)(struct service *s, pid_t pid);
};

enum endpoint_use { USE_LISTEN, USE_TRIGGER };

/* One bound door. A host with several addresses has one for each. */
struct endpoint {
	TAILQ_ENTRY(endpoint) entry;
	struct service *service;
	enum endpoint_use use;
	struct addr addr;	/* as configured, resolved; a copy */
	struct addr_name name;	/* as bound (getsockname), FIFO: len 0 */
	int record;		/* RECORD_DOOR; -1 while it is not open */
	uint32_t holds;		/* its own; service->holds act besides */
	bool watched;		/* epoll looks at it */
	bool adopted;		/* given by Adopt: the file does not name it */
	bool foreign;		/* another program has the socket too, and may
				 * make it blocking */
	bool yields;		/* reload's: it is closed when all are open, */
	bool yielded;		/* and another claims its name */
	char *aside;		/* a path until it takes its place, or NULL */
	bool wildcard;		/* bound to all: ask getsockname a connection */
	struct timer rest;
	void *request;		/* inlet/request's own (USE_TRIGGER) */
	void (*update)(struct endpoint *ep);	/* and its view of holds */
	bool spooled;		/* inlet/spool watches its FIFO */
};

/* RECORD_DOOR's data. Its arg is enum endpoint_use. */
/* What O_NONBLOCK was when usher ended. */
enum door_noted {
	NOTED_NOTHING,
	NOTED_BLOCKS,
	NOTED_NONBLOCK,
};

struct door_data {
	uint64_t arrivals;
	uint64_t inode;		/* of a Unix path or FIFO that we bound */
	uint32_t kind;		/* enum addr_kind */
	uint32_t adopted;
	char path[112];		/* Unix, FIFO; fd: its name; else empty */
	uint8_t foreign;
	uint8_t noted;		/* enum door_noted, by the keeper */
	uint16_t watched;	/* epoll looks at it */
	uint32_t leaving;	/* inlet/leaving's: no door any more */
};

enum service_state {
	SERVICE_STARTING,
	SERVICE_RUNNING,
	SERVICE_ROLLING,
	SERVICE_PAUSED,
	SERVICE_DRAINING,
	SERVICE_DEGRADED,
	SERVICE_DISABLED,
	SERVICE_GONE,		/* removed, finishing */
};

struct service {
	TAILQ_ENTRY(service) entry;
	struct usher *u;
	const char *name;	/* conf->name */
	const struct conf_service *conf;
	struct conf *owner;	/* holds conf */
	uint32_t slot;
	struct slot_data *data;	/* in the state */
	TAILQ_HEAD(endpoints, endpoint) endpoints;
	uint32_t holds;
	const struct handler *handler;
	void *work;		/* the handler's */
	struct admit *admit;	/* inlet/admit's: sources, rates */
	void *triggers;		/* trigger/'s */
	TAILQ_HEAD(conns, conn_wait) waiting;	/* arrival's: offered again */
	TAILQ_HEAD(headers, reading) headers;	/* inlet/proxy's: being read */
	uint32_t nheaders;
	bool starting, rolling, gone;
	bool retiring;		/* reload's: no longer named */
	unsigned hurried;	/* shutdown's: told to end at once, when */
	bool draining;		/* told to; the doors may still be open */
	char *degraded;		/* why, or NULL */
	int64_t degraded_since;
	char *last_line;	/* the last line a failing worker wrote */
	struct timer retry;	/* of its doors, action's */
	int64_t retry_ms;
	bool shut;		/* degraded since not all its doors are open */
	struct timer drain;	/* --after */
	struct task offer;	/* arrival's: room again */
};

struct usher {
	struct loop *loop;
	struct conf *conf;
	struct conf_source source;	/* where it comes from */
	TAILQ_HEAD(services, service) services;	/* as the file has them */
	TAILQ_HEAD(gone, service) gone;		/* removed, finishing */
	TAILQ_HEAD(leavings, leaving) leaving;	/* inlet/leaving's own */
	struct resolver *resolver;
	void *trigger;		/* trigger/'s own: spool watch */
	void *control;		/* control/'s own */
	char *notice;		/* for status's first line: the file on disk
				 * is wrong ...; NULL: nothing */
	bool stopping;
	int64_t rest_told;	/* ms: out of descriptors, last told */
	bool workers_inherit_stdio;
	struct service **by_slot;	/* slot_max() of them */
	/* Upwards, set by who opens the house (daemon, tests): a state
	 * changed (may be NULL), room again, all of a service has ended. */
	void (*on_change)(struct usher *u, struct service *s);
	void (*on_room)(struct service *s);
	void (*on_gone)(struct service *s);
	void (*on_conf)(struct usher *u);	/* u->conf is a new one */
	/* Another image is about to be this process (may be NULL): what is
	 * half done is given up. */
	void (*on_handover)(struct usher *u);
	/* A connection that a handler had has ended (NULL: nobody asks);
	 * UP and DOWN -1: it was refused. */
	void (*on_end)(struct service *s, uint64_t cookie, int64_t up,
		       int64_t down);
	/* A trigger that was handed on, and ended with that, has come back
	 * unserved (may be NULL). */
	void (*on_returned)(struct service *s, const char *message, size_t len);
};

/* What a RECORD_CONN is: its arg. */
enum conn_kind {
	CONN_WAITING,		/* arrival's: for room */
	CONN_PROXY,		/* its PROXY header is being read */
	CONN_PASSED,		/* unix-pass: brings a descriptor */
	CONN_DISCARD,
	CONN_AGENT,
	CONN_HELD,		/* relay's: for its backend */
	CONN_HANDED,		/* pass's: with a worker that reports */
};

/* An arrival. On the stack of who accepted it; arrive() takes fd over. */
struct conn {
	int fd;
	struct endpoint *endpoint;	/* NULL: injected */
	uint64_t cookie;	/* SO_COOKIE: its id everywhere */
	int64_t accepted_us;	/* loop_us() */
	struct addr_name peer;	/* the client's; behind a PROXY header its */
	struct addr_name local;
	bool is_unix;
	bool has_cred;
	bool proxied;		/* its PROXY header was read */
	bool returned;		/* it was handed on before, and is counted */
	bool kept;		/* it waits in the state: RECORD_CONN */
	bool shared;		/* injected or passed: who gave it may have it
				 * still, and make it blocking */
	struct ucred cred;	/* Unix peers */
	uint32_t source;	/* inlet/admit's handle, 0: not counted */
};

struct service *model_find(struct usher *u, const char *name);
struct service *model_by_slot(struct usher *u, uint32_t slot);

/* A new service of C's conf_service CS with its slot, no endpoints yet. NULL:
 * no slot is free. Holds a reference on C. */
struct service *service_new(struct usher *u, struct conf *c,
			    const struct conf_service *cs);
/* Frees it; its endpoints, work, admit and triggers are gone already. */
void service_free(struct service *s);

enum service_state service_state(const struct service *s);
const char *service_state_name(enum service_state state);

/* Says once that S can't serve, and why; again only when the text differs.
 * The worker's last line is told with it. Recover ends it. */
void service_degrade(struct service *s, const char *fmt, ...) PRINTF(2, 3);
void service_recover(struct service *s);
/* Its state is another one: since when is noted, who listens is told. */
void service_changed(struct service *s);

/* Handler to inlet and trigger: there is room again. Held arrivals are
 * offered and doors looked at in this round's tasks. Set by inlet/arrival. */
void service_room(struct service *s);

/* What the handler says: by default there is room, and nothing to roll. */
bool service_has_room(struct service *s);
int service_roll(struct service *s,
		 void (*done)(void *arg, int result, const char *why),
		 void *arg);
/* Handler: all has finished after stop(). */
void service_gone(struct service *s);

/* The range of workers in force: set by hand, or the file's. */
struct text_range service_workers(const struct service *s);

void service_refused(struct service *s, enum refusal why);

/* Log lines about a service: log_write with its name. */
#define service_log(s, level, ...)                                     \
	log_write(level, &(struct log_about){ .service = (s)->name }, \
		  __VA_ARGS__)

#endif
