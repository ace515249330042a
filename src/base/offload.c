/*
 * offload - work that may block, in a thread; see offload.h.
 *
 * Threads are detached and end with their job; an eventfd wakes the loop. A
 * job that never ends costs one of the threads and nothing else.
 */
#include "base/offload.h"

#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/record.h"

struct job {
	TAILQ_ENTRY(job) entry;
	void (*work)(void *arg);
	void (*done)(void *arg);
	void *arg;
	int wake;
};

TAILQ_HEAD(jobs, job);

static struct {
	pthread_mutex_t lock;	/* for finished alone */
	struct jobs finished, queued;
	unsigned running;
	int record;
} off = { .lock = PTHREAD_MUTEX_INITIALIZER, .record = -1 };

static void *thread_main(void *arg)
{
	struct job *j = arg;
	const uint64_t one = 1;

	j->work(j->arg);
	pthread_mutex_lock(&off.lock);
	TAILQ_INSERT_TAIL(&off.finished, j, entry);
	/* Can't fail but at 2^64 - 1 wake-ups that nobody read. */
	if (write(j->wake, &one, sizeof(one)) < 0)
		TAILQ_REMOVE(&off.finished, j, entry);
	pthread_mutex_unlock(&off.lock);
	return NULL;
}

/* All signals stay blocked in threads: they are the loop's. */
static int begin(struct job *j)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, old;
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 1 << 20);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&thread, &attr, thread_main, j);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (r == 0)
		off.running++;
	return -r;
}

static void on_wake(void *arg, uint32_t events)
{
	struct jobs done = TAILQ_HEAD_INITIALIZER(done);
	uint64_t n;
	struct job *j;

	(void)arg;
	(void)events;
	if (read(record_at(off.record)->fd[0], &n, sizeof(n)) < 0)
		return;
	pthread_mutex_lock(&off.lock);
	TAILQ_CONCAT(&done, &off.finished, entry);
	pthread_mutex_unlock(&off.lock);
	while ((j = TAILQ_FIRST(&done))) {
		TAILQ_REMOVE(&done, j, entry);
		off.running--;
		j->done(j->arg);
		free(j);
	}
	while (off.running < OFFLOAD_THREADS &&
	       (j = TAILQ_FIRST(&off.queued))) {
		TAILQ_REMOVE(&off.queued, j, entry);
		if (begin(j) == 0)
			continue;
		TAILQ_INSERT_HEAD(&off.queued, j, entry);
		break;
	}
}

int offload_open(struct loop *l)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int record;

	if (fd < 0)
		return -errno;
	record = record_new(RECORD_WATCH, RECORD_NOBODY, 0);
	if (record < 0) {
		close(fd);
		return record;
	}
	TAILQ_INIT(&off.finished);
	TAILQ_INIT(&off.queued);
	off.running = 0;
	off.record = record;
	record_set_fd(record, 0, fd);
	record_commit(record);
	return loop_watch(l, record, 0, EPOLLIN, on_wake, NULL);
}

int offload(void (*work)(void *arg), void (*done)(void *arg), void *arg)
{
	struct job *j;
	int r;

	if (off.record < 0)
		return -ESHUTDOWN;
	j = xcalloc(1, sizeof(*j));
	j->work = work;
	j->done = done;
	j->arg = arg;
	j->wake = record_at(off.record)->fd[0];
	if (off.running >= OFFLOAD_THREADS) {
		TAILQ_INSERT_TAIL(&off.queued, j, entry);
		return 0;
	}
	r = begin(j);
	if (r < 0)
		free(j);
	return r;
}

void offload_close(void)
{
	record_close(off.record);
	off.record = -1;
}
