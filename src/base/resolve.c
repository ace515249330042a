/*
 * resolve - look-ups in threads, answers in the loop.
 *
 * A job is shared by the thread that works on it and whoever asked; under
 * the lock, whoever sees it last frees it. The pool outlives its resolver as
 * long as a thread hangs in a look-up. Threads are made when there is work
 * and end when there is none; they take no signals.
 */
#include "base/resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/record.h"

/* Name service modules are modest; eight megabytes each would not be. */
#define STACK_SIZE (512 * 1024)

enum job_state { JOB_QUEUED, JOB_RUNNING, JOB_ANSWERED };

struct job {
	TAILQ_ENTRY(job) entry;	/* of queue or of answers */
	enum job_state state;
	bool abandoned;		/* nobody wants the answer */
	struct lookup *lookup;	/* NULL: resolve_wait's */
	struct addr addr;
	bool passive;
	int result;
	char *why;
};

TAILQ_HEAD(job_list, job);

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t answered;
	struct job_list queue, answers;
	unsigned int threads, refs;
	bool closed;
	int event;		/* -1: none */
};

struct resolver {
	struct loop *loop;
	struct pool *pool;
	TAILQ_HEAD(, lookup) lookups;
	int record;
};

struct lookup {
	TAILQ_ENTRY(lookup) entry;
	struct resolver *resolver;
	struct job *job;
	struct timer timer;
	resolve_fn *fn;
	void *arg;
};

static void job_free(struct job *j)
{
	addr_free(&j->addr);
	free(j->why);
	free(j);
}

static struct job *job_new(const struct addr *a, bool passive)
{
	struct job *j = xcalloc(1, sizeof(*j));

	addr_copy(&j->addr, a);
	j->passive = passive;
	return j;
}

static struct pool *pool_new(void)
{
	struct pool *p = xcalloc(1, sizeof(*p));
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->answered, &attr);
	pthread_condattr_destroy(&attr);
	TAILQ_INIT(&p->queue);
	TAILQ_INIT(&p->answers);
	p->refs = 1;
	p->event = -1;
	return p;
}

/* Called with the lock, which ends here. */
static void pool_release(struct pool *p)
{
	bool last = --p->refs == 0;

	pthread_mutex_unlock(&p->lock);
	if (!last)
		return;
	pthread_cond_destroy(&p->answered);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static void answer(struct pool *p, struct job *j)
{
	static const uint64_t one = 1;

	if (j->abandoned) {
		job_free(j);
		return;
	}
	j->state = JOB_ANSWERED;
	TAILQ_INSERT_TAIL(&p->answers, j, entry);
	pthread_cond_signal(&p->answered);
	/* A full counter is readable already. */
	if (p->event >= 0 && write(p->event, &one, sizeof(one)) < 0)
		return;
}

static void *work(void *arg)
{
	struct pool *p = arg;
	struct job *j;

	pthread_mutex_lock(&p->lock);
	while ((j = TAILQ_FIRST(&p->queue))) {
		TAILQ_REMOVE(&p->queue, j, entry);
		j->state = JOB_RUNNING;
		pthread_mutex_unlock(&p->lock);
		j->result = addr_resolve(&j->addr, j->passive, &j->why);
		pthread_mutex_lock(&p->lock);
		answer(p, j);
	}
	p->threads--;
	pool_release(p);
	return NULL;
}

/* A detached thread that no signal reaches. 0 or -errno. */
static int start_thread(struct pool *p)
{
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t t;
	int r;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&t, &attr, work, p);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return -r;
}

static void pool_add(struct pool *p, struct job *j)
{
	int r;

	pthread_mutex_lock(&p->lock);
	TAILQ_INSERT_TAIL(&p->queue, j, entry);
	if (p->threads < RESOLVE_THREADS) {
		p->threads++;
		p->refs++;
		r = start_thread(p);
		if (r < 0) {
			p->threads--;
			p->refs--;
		}
		/* With another thread at work the job's turn will come. */
		if (r < 0 && p->threads == 0) {
			TAILQ_REMOVE(&p->queue, j, entry);
			j->result = r;
			answer(p, j);
		}
	}
	pthread_mutex_unlock(&p->lock);
}

/* Called with the lock: nobody wants this answer any more. */
static void pool_abandon(struct pool *p, struct job *j)
{
	switch (j->state) {
	case JOB_RUNNING:
		j->abandoned = true;	/* its thread frees it */
		return;
	case JOB_QUEUED:
		TAILQ_REMOVE(&p->queue, j, entry);
		break;
	case JOB_ANSWERED:
		TAILQ_REMOVE(&p->answers, j, entry);
		break;
	}
	job_free(j);
}

static void lookup_free(struct lookup *l)
{
	timer_cancel(l->resolver->loop, &l->timer);
	TAILQ_REMOVE(&l->resolver->lookups, l, entry);
	free(l);
}

static void on_deadline(void *arg)
{
	struct lookup *l = arg;
	resolve_fn *fn = l->fn;
	void *fn_arg = l->arg;

	resolve_cancel(&l);
	fn(fn_arg, -ETIMEDOUT, NULL, NULL);
}

/* J left the list of answers and is ours. */
static void deliver(struct job *j)
{
	struct lookup *l = j->lookup;
	resolve_fn *fn = l->fn;
	void *arg = l->arg;

	lookup_free(l);
	fn(arg, j->result, &j->addr, j->why);
	job_free(j);
}

static void on_answers(void *arg, uint32_t events)
{
	struct resolver *r = arg;
	struct pool *p = r->pool;
	struct job *j;
	uint64_t n;

	(void)events;
	/* Only to clear it; how many there are the list tells. */
	if (read(p->event, &n, sizeof(n)) < 0 && errno != EAGAIN)
		return;
	pthread_mutex_lock(&p->lock);
	p->refs++;
	/* One by one: a callee may cancel the others or close us. */
	while (!p->closed && (j = TAILQ_FIRST(&p->answers))) {
		TAILQ_REMOVE(&p->answers, j, entry);
		pthread_mutex_unlock(&p->lock);
		deliver(j);
		pthread_mutex_lock(&p->lock);
	}
	pool_release(p);
}

int resolve_open(struct loop *loop, struct resolver **out)
{
	CLEANUP(fd_closep) int low = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	CLEANUP(fd_closep) int fd = low < 0 ? -1 :
				    fcntl(low, F_DUPFD_CLOEXEC, RECORD_LOW);
	struct resolver *r;
	int index, e;

	if (fd < 0)
		return -errno;
	index = record_new(RECORD_WATCH, RECORD_NOBODY, 0);
	if (index < 0)
		return index;
	r = xcalloc(1, sizeof(*r));
	r->loop = loop;
	r->record = index;
	r->pool = pool_new();
	r->pool->event = fd_take(&fd);
	TAILQ_INIT(&r->lookups);
	record_set_fd(index, 0, r->pool->event);
	record_commit(index);
	e = loop_watch(loop, index, 0, EPOLLIN, on_answers, r);
	if (e < 0) {
		resolve_close(&r);
		return e;
	}
	*out = r;
	return 0;
}

void resolve_close(struct resolver **rp)
{
	struct resolver *r = TAKE(*rp);
	struct lookup *l;

	if (!r)
		return;
	while ((l = TAILQ_FIRST(&r->lookups)))
		resolve_cancel(&l);
	pthread_mutex_lock(&r->pool->lock);
	r->pool->closed = true;
	r->pool->event = -1;	/* no thread writes from here on */
	record_close(r->record);
	pool_release(r->pool);
	free(r);
}

struct lookup *resolve_start(struct resolver *r, const struct addr *a,
			     bool passive, int64_t ms, resolve_fn *fn,
			     void *arg)
{
	struct lookup *l = xcalloc(1, sizeof(*l));

	l->resolver = r;
	l->fn = fn;
	l->arg = arg;
	l->job = job_new(a, passive);
	l->job->lookup = l;
	TAILQ_INSERT_TAIL(&r->lookups, l, entry);
	timer_set(r->loop, &l->timer, ms, on_deadline, l);
	pool_add(r->pool, l->job);
	return l;
}

void resolve_cancel(struct lookup **lp)
{
	struct lookup *l = TAKE(*lp);
	struct pool *p;

	if (!l)
		return;
	p = l->resolver->pool;
	pthread_mutex_lock(&p->lock);
	pool_abandon(p, l->job);
	pthread_mutex_unlock(&p->lock);
	lookup_free(l);
}

static struct timespec in_ms(int64_t ms)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += ms % 1000 * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	return ts;
}

int resolve_wait(struct addr *a, bool passive, int64_t ms, char **why)
{
	struct timespec end = in_ms(ms < 0 ? 0 : ms);
	struct pool *p = pool_new();
	struct job *j = job_new(a, passive);
	int r = 0;

	*why = NULL;
	pool_add(p, j);
	pthread_mutex_lock(&p->lock);
	while (j->state != JOB_ANSWERED && r == 0)
		r = ms < 0 ? pthread_cond_wait(&p->answered, &p->lock) :
			     pthread_cond_timedwait(&p->answered, &p->lock,
						    &end);
	if (j->state == JOB_ANSWERED) {
		r = j->result;
		*why = TAKE(j->why);
		free(a->names);
		a->names = TAKE(j->addr.names);
		a->nnames = j->addr.nnames;
	} else {
		r = -r;		/* ETIMEDOUT */
	}
	pool_abandon(p, j);
	pool_release(p);
	return r;
}
