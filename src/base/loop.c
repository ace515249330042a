/*
 * loop - the one epoll loop; see loop.h.
 *
 * A round: wait, call for each event whose record still has the serial that
 * it was watched under, run the timers that were due and set before this
 * round, then the tasks. Stale events are recognised by the serial alone, so
 * nothing is marked dead and nothing is freed late. The timers' order is
 * base/timers'.
 */
#include "base/loop.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/child.h"
#include "base/log.h"
#include "base/record.h"
#include "base/timers.h"

#define EVENTS_A_ROUND 256
#define SLOW_US        1000

struct watch {
	loop_fn *fn;
	void *arg;
	const char *name;
};

struct handler {
	signal_fn *fn;
	void *arg;
};

struct loop {
	struct watch *watches;		/* by record index */
	struct timers timers;
	struct tasks tasks, last;
	struct handler signals[_NSIG];
	sigset_t mask;
	bool (*known)(void *arg, pid_t pid);
	void *known_arg;
	void (*strange)(void *arg, int index);
	void *strange_arg;
	bool reaping, stop;
	int slot;			/* of the event being served */
	int64_t now;
	int64_t alarm;			/* ms: what the timerfd is set to */
	struct loop_stats stats;
};

int64_t loop_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t loop_now(const struct loop *l)
{
	return l->now;
}

/* ---- who takes how long (debug builds) ---- */

#ifdef USHER_DEBUG
struct stopwatch {
	int64_t us, blocked;
	struct timespec cpu;
	long waits;
};

static long waits_so_far(void)
{
	struct rusage u;

	getrusage(RUSAGE_THREAD, &u);
	return u.ru_nvcsw;
}

static void stopwatch_start(struct stopwatch *w)
{
	w->us = loop_us();
	w->blocked = child_blocked_us();
	w->waits = waits_so_far();
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &w->cpu);
}

/* Slow is who used the time or waited in it, not who was not scheduled. */
static void stopwatch_stop(struct loop *l, const struct stopwatch *w,
			   const char *name)
{
	int64_t spawning = child_blocked_us() - w->blocked;
	int64_t wall = loop_us() - w->us - spawning;
	struct timespec cpu;
	int64_t used;

	if (wall < SLOW_US)
		return;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
	used = (cpu.tv_sec - w->cpu.tv_sec) * 1000000 +
	       (cpu.tv_nsec - w->cpu.tv_nsec) / 1000;
	if (used < SLOW_US && (spawning || waits_so_far() == w->waits))
		return;
	l->stats.slow++;
	log_debug("loop: %s took %lld us (%lld of its own)", name,
		  (long long)wall, (long long)used);
}
#define TIMED(l, name, call)                       \
	do {                                       \
		struct stopwatch w_;               \
		const char *n_ = (name);           \
		stopwatch_start(&w_);              \
		call;                              \
		stopwatch_stop(l, &w_, n_);        \
	} while (0)
#else
#define TIMED(l, name, call) call
#endif

/* ---- descriptors ---- */

/* Index, slot and serial; records are far fewer than 2^28. */
#define SLOT_SHIFT 28
#define INDEX_MASK ((1u << SLOT_SHIFT) - 1)

static uint64_t data_of(int index, int slot)
{
	return (uint32_t)index | (uint32_t)slot << SLOT_SHIFT |
	       (uint64_t)record_at(index)->serial << 32;
}

static int control(int op, int index, int slot, uint32_t events)
{
	struct epoll_event e = { .events = events,
				 .data.u64 = data_of(index, slot) };

	return epoll_ctl(ROLE_EPOLL, op, record_at(index)->fd[slot], &e) < 0
		? -errno : 0;
}

void loop_attach_named(struct loop *l, int index, loop_fn *fn, void *arg,
		       const char *name)
{
	l->watches[index] = (struct watch){ fn, arg, name };
}

int loop_slot(const struct loop *l)
{
	return l->slot;
}

void *loop_arg(const struct loop *l, int index)
{
	return l->watches[index].arg;
}

int loop_watch_named(struct loop *l, int index, int slot, uint32_t events,
		     loop_fn *fn, void *arg, const char *name)
{
	int r = control(EPOLL_CTL_ADD, index, slot, events);

	/* After a take-over epoll may watch it already. */
	if (r == -EEXIST)
		r = control(EPOLL_CTL_MOD, index, slot, events);
	loop_attach_named(l, index, fn, arg, name);
	return r;
}

int loop_resume_named(struct loop *l, int index, int slot, uint32_t events,
		      loop_fn *fn, void *arg, const char *name)
{
	int r = control(EPOLL_CTL_MOD, index, slot, events);

	if (r == -ENOENT)
		r = control(EPOLL_CTL_ADD, index, slot, events);
	loop_attach_named(l, index, fn, arg, name);
	return r;
}

int loop_change(struct loop *l, int index, int slot, uint32_t events)
{
	(void)l;
	return control(EPOLL_CTL_MOD, index, slot, events);
}

void loop_unwatch(struct loop *l, int index, int slot)
{
	(void)l;
	control(EPOLL_CTL_DEL, index, slot, 0);
}

void loop_strange(struct loop *l, void (*fn)(void *arg, int index), void *arg)
{
	l->strange = fn;
	l->strange_arg = arg;
}

static void dispatch(struct loop *l, const struct epoll_event *e)
{
	uint32_t index = (uint32_t)e->data.u64 & INDEX_MASK;
	uint32_t serial = (uint32_t)(e->data.u64 >> 32);
	struct watch *w;

	if (index >= record_max() ||
	    record_at((int)index)->serial != serial)
		return;		/* of a record that ended in this round */
	w = &l->watches[index];
	if (!w->fn && l->strange)
		TIMED(l, "strange", l->strange(l->strange_arg, (int)index));
	if (record_at((int)index)->serial != serial)
		return;
	l->slot = (int)((uint32_t)e->data.u64 >> SLOT_SHIFT);
	l->stats.events++;
	if (w->fn)
		TIMED(l, w->name, w->fn(w->arg, e->events));
	else			/* another process's, and nobody looks now */
		loop_unwatch(l, (int)index, l->slot);
}

/* ---- timers ---- */

void timer_cancel(struct loop *l, struct timer *t)
{
	timers_remove(&l->timers, t);
}

void timer_set_named(struct loop *l, struct timer *t, int64_t ms,
		     void (*fn)(void *arg), void *arg, const char *name)
{
	t->due = loop_us() / 1000 + (ms > 0 ? ms : 0);
	t->fn = fn;
	t->arg = arg;
	t->name = name;
	timers_put(&l->timers, t);
}

static void run_timers(struct loop *l)
{
	uint64_t mark = l->timers.seq;	/* set in this round: not in it */
	struct timer *t;

	while ((t = timers_due(&l->timers, l->now, mark))) {
		timer_cancel(l, t);
		TIMED(l, t->name, t->fn(t->arg));
	}
}

/* ---- tasks ---- */

static void set_in(struct tasks *list, struct task *t)
{
	if (t->set)
		return;
	TAILQ_INSERT_TAIL(list, t, entry);
	t->set = list;
}

void task_set_last_named(struct loop *l, struct task *t, void (*fn)(void *arg),
			 void *arg, const char *name)
{
	t->fn = fn;
	t->arg = arg;
	t->name = name;
	set_in(&l->last, t);
}

void task_set_named(struct loop *l, struct task *t, void (*fn)(void *arg),
		    void *arg, const char *name)
{
	t->fn = fn;
	t->arg = arg;
	t->name = name;
	set_in(&l->tasks, t);
}

void task_cancel(struct loop *l, struct task *t)
{
	(void)l;
	if (t->set)
		TAILQ_REMOVE(t->set, t, entry);
	t->set = NULL;
}

/* A task may set tasks: those run in this round too, so work that goes on
 * for ever belongs into a timer of 0 ms. */
static void run_tasks(struct loop *l)
{
	struct task *t;

	while ((t = TAILQ_FIRST(&l->tasks)) || (t = TAILQ_FIRST(&l->last))) {
		task_cancel(l, t);
		TIMED(l, t->name, t->fn(t->arg));
	}
}

/* ---- signals and orphans ---- */

/* Looks first and takes only who is nobody's: a known child's status is for
 * its pidfd. One that is known ends the search; its own end starts another. */
static void reap_orphans(struct loop *l)
{
	for (;;) {
		siginfo_t si = { 0 };

		if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) < 0 ||
		    si.si_pid == 0)
			return;
		if (l->known && l->known(l->known_arg, si.si_pid))
			return;
		if (waitid(P_PID, (id_t)si.si_pid, &si, WEXITED | WNOHANG) < 0)
			return;
		log_debug("loop: reaped pid %d, nobody's child",
			  (int)si.si_pid);
	}
}

static void read_signals(struct loop *l)
{
	struct signalfd_siginfo si[16];
	ssize_t n = read(ROLE_SIGNAL, si, sizeof(si));

	for (size_t i = 0; n > 0 && i < (size_t)n / sizeof(si[0]); i++) {
		struct handler *h = &l->signals[si[i].ssi_signo % _NSIG];

		if (si[i].ssi_signo == SIGCHLD && l->reaping)
			reap_orphans(l);
		else if (h->fn)
			TIMED(l, "a signal", h->fn(h->arg, &si[i]));
	}
}

/* FD becomes ROLE, in place of the one before us. Serial 0 and the role as
 * index: no record has serial 0. */
static int watch_role(int fd, enum record_role role, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.u64 = role };
	int r;

	if (fd < 0)
		return -errno;
	epoll_ctl(ROLE_EPOLL, EPOLL_CTL_DEL, role, NULL);
	r = record_role(fd, role);
	if (r < 0)
		return r;
	return epoll_ctl(ROLE_EPOLL, EPOLL_CTL_ADD, role, &e) < 0 ? -errno : 0;
}

static int watch_signals(struct loop *l)
{
	sigemptyset(&l->mask);
	return watch_role(signalfd(-1, &l->mask, SFD_NONBLOCK | SFD_CLOEXEC),
			  ROLE_SIGNAL, EPOLLIN);
}

/* Edge-triggered: it wakes, nobody needs to read it. */
static int watch_alarm(struct loop *l)
{
	l->alarm = INT64_MAX;
	return watch_role(timerfd_create(CLOCK_MONOTONIC,
					 TFD_NONBLOCK | TFD_CLOEXEC),
			  ROLE_ALARM, EPOLLIN | EPOLLET);
}

int loop_signal(struct loop *l, int signo, signal_fn *fn, void *arg)
{
	l->signals[signo] = (struct handler){ fn, arg };
	sigaddset(&l->mask, signo);
	if (sigprocmask(SIG_BLOCK, &l->mask, NULL) < 0)
		return -errno;
	return signalfd(ROLE_SIGNAL, &l->mask, 0) < 0 ? -errno : 0;
}

static void no_handler(void *arg, const struct signalfd_siginfo *si)
{
	(void)arg;
	(void)si;
}

void loop_reap(struct loop *l, bool (*known)(void *arg, pid_t pid), void *arg)
{
	l->known = known;
	l->known_arg = arg;
	l->reaping = true;
	loop_signal(l, SIGCHLD, no_handler, NULL);
	reap_orphans(l);
}

/* ---- life ---- */

int loop_open(struct loop **out, bool adopt)
{
	CLEANUP(freep) struct loop *l = xcalloc(1, sizeof(*l));
	int r;

	if (!adopt) {
		int fd = epoll_create1(EPOLL_CLOEXEC);

		if (fd < 0)
			return -errno;
		r = record_role(fd, ROLE_EPOLL);
		if (r < 0)
			return r;
	}
	TAILQ_INIT(&l->tasks);
	TAILQ_INIT(&l->last);
	l->now = loop_us() / 1000;
	r = watch_signals(l);
	if (r == 0)
		r = watch_alarm(l);
	if (r < 0)
		return r;
	l->watches = xcalloc(record_max(), sizeof(*l->watches));
	*out = TAKE(l);
	return 0;
}

void loop_close(struct loop **lp)
{
	struct loop *l = TAKE(*lp);

	if (!l)
		return;
	free(l->watches);
	timers_free(&l->timers);
	free(l);
}

void loop_stop(struct loop *l)
{
	l->stop = true;
}

/*
 * How long to wait: not at all or, since the alarm is set, for an event. A
 * time limit in epoll_wait would be a timer of the kernel's to set and to
 * cancel in every round; the alarm is touched only when it would come late.
 * One that comes too early, for a timer that is cancelled, costs a round.
 */
static int wait_ms(struct loop *l)
{
	int64_t due = timers_next(&l->timers);
	struct itimerspec at = { 0 };

	if (due >= l->alarm)
		return -1;
	if (due <= loop_us() / 1000)
		return 0;
	at.it_value.tv_sec = due / 1000;
	at.it_value.tv_nsec = due % 1000 * 1000000;
	if (timerfd_settime(ROLE_ALARM, TFD_TIMER_ABSTIME, &at, NULL) < 0)
		return 1;
	l->alarm = due;
	return -1;
}

static int round_once(struct loop *l)
{
	struct epoll_event ev[EVENTS_A_ROUND];
	int n = epoll_wait(ROLE_EPOLL, ev, EVENTS_A_ROUND, wait_ms(l));

	if (n < 0 && errno != EINTR)
		return -errno;
	l->now = loop_us() / 1000;
	if (l->alarm <= l->now)
		l->alarm = INT64_MAX;	/* it has come */
	l->stats.rounds++;
	for (int i = 0; i < n; i++) {
		if (ev[i].data.u64 == ROLE_SIGNAL)
			read_signals(l);
		else if (ev[i].data.u64 != ROLE_ALARM)
			dispatch(l, &ev[i]);
	}
	run_timers(l);
	run_tasks(l);
	return 0;
}

int loop_run(struct loop *l)
{
	int r = 0;

	run_tasks(l);
	for (l->stop = false; !l->stop && r == 0;)
		r = round_once(l);
	return r;
}

void loop_stats(const struct loop *l, struct loop_stats *out)
{
	*out = l->stats;
	out->timers = l->timers.n;
}
