/*
 * loop - the one epoll loop: descriptors, timers, signals, later.
 *
 * What is watched is a record's descriptor; epoll's data is the record's
 * index and serial. A record that ends inside a callback makes whatever
 * events of it are still in the batch stale by its serial, so removal is safe
 * anywhere and its owner may free itself at once. The cost of a round does not
 * grow with the number of idle watches.
 *
 * Timers are a heap in here (milliseconds, CLOCK_MONOTONIC), embedded in
 * their owners, and one timerfd for all of them; one that is set in a round
 * does not run in it. Signals come
 * by signalfd. Nothing blocks in a callback; a debug build names the callback
 * that took over 1 ms.
 */
#ifndef USHER_BASE_LOOP_H
#define USHER_BASE_LOOP_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/signalfd.h>

struct loop;

/* EVENTS are epoll's. ARG is the owner. */
typedef void loop_fn(void *arg, uint32_t events);

/* Needs record_open or record_adopt before. ADOPT: the epoll descriptor is
 * already at its role. Returns 0 or -errno. */
int loop_open(struct loop **out, bool adopt);
void loop_close(struct loop **l);

/* Runs until loop_stop; the callbacks' round ends first. Returns 0 or
 * -errno. */
int loop_run(struct loop *l);
void loop_stop(struct loop *l);

/* Milliseconds of CLOCK_MONOTONIC at the start of this round (cheap), and
 * now in microseconds (a system call of the vdso). */
int64_t loop_now(const struct loop *l);
int64_t loop_us(void);

/*
 * Watches descriptor SLOT of record INDEX, which is committed. All
 * descriptors of a record share FN and ARG. Returns 0 or -errno.
 */
#define loop_watch(l, index, slot, events, fn, arg) \
	loop_watch_named(l, index, slot, events, fn, arg, #fn)
int loop_watch_named(struct loop *l, int index, int slot, uint32_t events,
		     loop_fn *fn, void *arg, const char *name);
/* Other EVENTS for a watched descriptor; 0 looks away. */
int loop_change(struct loop *l, int index, int slot, uint32_t events);
/* After a take-over, whose epoll descriptor watches already: who is called. */
#define loop_attach(l, index, fn, arg) loop_attach_named(l, index, fn, arg, #fn)
void loop_attach_named(struct loop *l, int index, loop_fn *fn, void *arg,
		       const char *name);
/* The same for one descriptor that is to be watched for EVENTS, whether its
 * old owner came to that or was killed before. 0 or -errno. */
#define loop_resume(l, index, slot, events, fn, arg) \
	loop_resume_named(l, index, slot, events, fn, arg, #fn)
int loop_resume_named(struct loop *l, int index, int slot, uint32_t events,
		      loop_fn *fn, void *arg, const char *name);
/* FN is called before the event of a record that nobody watches or attached in
 * this process, and may attach it. NULL ends that. */
void loop_strange(struct loop *l, void (*fn)(void *arg, int index), void *arg);
/* In a callback of a descriptor: its place in the record. */
int loop_slot(const struct loop *l);
/* The owner that INDEX was watched or attached with last. */
void *loop_arg(const struct loop *l, int index);
/* Stops watching; needed only when the record goes on without it. */
void loop_unwatch(struct loop *l, int index, int slot);

/* A timer is its owner's; zeroed is unset. */
struct timer {
	int64_t due;		/* ms, CLOCK_MONOTONIC */
	uint32_t pos;		/* in the heap, from 1; 0: unset */
	void (*fn)(void *arg);
	void *arg;
	const char *name;
};

/* Calls FN once in MS milliseconds at the earliest (0: in the next round),
 * and replaces what T was set to. */
#define timer_set(l, t, ms, fn, arg) timer_set_named(l, t, ms, fn, arg, #fn)
void timer_set_named(struct loop *l, struct timer *t, int64_t ms,
		     void (*fn)(void *arg), void *arg, const char *name);
/* Unset or not: unset afterwards. */
void timer_cancel(struct loop *l, struct timer *t);
static inline bool timer_is_set(const struct timer *t)
{
	return t->pos != 0;
}

TAILQ_HEAD(tasks, task);

/* A task runs once after this round's callbacks; zeroed is unset. */
struct task {
	TAILQ_ENTRY(task) entry;
	struct tasks *set;	/* where; NULL: it is not */
	void (*fn)(void *arg);
	void *arg;
	const char *name;
};

#define task_set(l, t, fn, arg) task_set_named(l, t, fn, arg, #fn)
void task_set_named(struct loop *l, struct task *t, void (*fn)(void *arg),
		    void *arg, const char *name);
/* When no other is left: all that this round brought has been dealt with. */
#define task_set_last(l, t, fn, arg) task_set_last_named(l, t, fn, arg, #fn)
void task_set_last_named(struct loop *l, struct task *t, void (*fn)(void *arg),
			 void *arg, const char *name);
void task_cancel(struct loop *l, struct task *t);

/* SIGNO is blocked and comes through FN. SIGCHLD is the loop's own. */
typedef void signal_fn(void *arg, const struct signalfd_siginfo *si);
int loop_signal(struct loop *l, int signo, signal_fn *fn, void *arg);

/*
 * As PID 1 or subreaper: children that nobody here started are reaped, save
 * those for whom KNOWN says true (their pidfd tells). NULL: all are unknown.
 */
void loop_reap(struct loop *l, bool (*known)(void *arg, pid_t pid), void *arg);

/* Rounds, events, callbacks over 1 ms (a debug build counts those). */
struct loop_stats {
	uint64_t rounds, events, slow;
	uint32_t timers;
};
void loop_stats(const struct loop *l, struct loop_stats *out);

#endif
