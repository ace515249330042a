/*
 * ready - when a worker can be counted on (the key `ready`).
 *
 * A readiness pipe is RECORD_READY with the read end; a probe is one with the
 * socket that is connecting, made anew for each try. Nothing here waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/net.h"
#include "work/worker.h"

#define PROBE_EVERY_MS 50
#define PROBE_TRY_MS   2000

static struct loop *loop_of(const struct worker *w)
{
	return w->generation->service->u->loop;
}

static const struct conf_ready_value *ready_of(const struct worker *w)
{
	return &w->generation->conf->ready;
}

void ready_end(struct worker *w)
{
	timer_cancel(loop_of(w), &w->probe);
	record_close(w->readiness);
	w->readiness = -1;
}

/* A record around FD, which is taken, watched for EVENTS. */
static int hold_fd(struct worker *w, int fd, uint32_t events, loop_fn *fn)
{
	struct service *s = w->generation->service;
	int record = record_new(RECORD_READY, s->slot,
				w->generation->number);

	if (record < 0) {
		close(fd);
		return record;
	}
	record_set_fd(record, 0, fd);
	record_at(record)->id = (uint64_t)w->pid;
	record_commit(record);
	w->readiness = record;
	return loop_watch_named(loop_of(w), record, 0, events, fn, w,
				"ready");
}

/* ---- fd:N ---- */

static void on_pipe(void *arg, uint32_t events)
{
	struct worker *w = arg;
	char buf[256];
	ssize_t n = read(record_at(w->readiness)->fd[0], buf, sizeof(buf));

	(void)events;
	if (n > 0 && memchr(buf, '\n', (size_t)n))
		worker_is_ready(w);
	else if (n == 0)	/* closed without a word: start_timeout */
		ready_end(w);
}

int ready_prepare(struct worker *w, struct launch *l)
{
	int pair[2], r;

	if (ready_of(w)->kind != READY_FD)
		return 0;
	if (pipe2(pair, O_CLOEXEC) < 0)
		return -errno;
	fd_nonblock(pair[0], true);
	r = hold_fd(w, pair[0], EPOLLIN, on_pipe);
	if (r < 0) {
		close(pair[1]);
		return r;
	}
	/* Ours until the start is over; closed by ready_began. */
	record_set_fd(w->readiness, 1, pair[1]);
	launch_fd(l, pair[1], ready_of(w)->fd);
	return 0;
}

/* ---- probe:ADDRESS ---- */

static void probe(void *arg);

static void probe_later(struct worker *w)
{
	record_close(w->readiness);
	w->readiness = -1;
	timer_set(loop_of(w), &w->probe, PROBE_EVERY_MS, probe, w);
}

static void on_connected(void *arg, uint32_t events)
{
	struct worker *w = arg;
	int error = 0;
	socklen_t len = sizeof(error);

	(void)events;
	if (getsockopt(record_at(w->readiness)->fd[0], SOL_SOCKET, SO_ERROR,
		       &error, &len) < 0 || error)
		probe_later(w);
	else
		worker_is_ready(w);
}

static const struct addr *probe_address(const struct worker *w)
{
	const struct conf_service *c = w->generation->conf;

	return c->ready.probe ? c->ready.probe : &c->relay.v[0].addr;
}

static void on_probe_timeout(void *arg)
{
	probe_later(arg);
}

static void probe(void *arg)
{
	static const struct net_note nobody;
	struct worker *w = arg;
	const struct addr *a = probe_address(w);
	int fd;

	if (a->nnames == 0)
		return;
	fd = net_socket(a, &a->names[0], false, &nobody);
	if (fd < 0) {
		probe_later(w);
		return;
	}
	if (connect(fd, &a->names[0].u.sa, a->names[0].len) == 0) {
		close(fd);
		worker_is_ready(w);
	} else if (errno == EINPROGRESS) {
		timer_set(loop_of(w), &w->probe, PROBE_TRY_MS,
			  on_probe_timeout, w);
		if (hold_fd(w, fd, EPOLLOUT, on_connected) < 0)
			probe_later(w);
	} else {
		close(fd);
		probe_later(w);
	}
}

/* ---- all ---- */

static void on_after(void *arg)
{
	worker_is_ready(arg);
}

void ready_began(struct worker *w)
{
	const struct conf_ready_value *r = ready_of(w);
	int *theirs;

	if (w->readiness >= 0) {
		theirs = &record_at(w->readiness)->fd[1];
		fd_closep(theirs);
		record_at(w->readiness)->id = (uint64_t)w->pid;
	}
	if (r->kind == READY_EXEC)
		worker_is_ready(w);
	else if (r->kind == READY_PROBE)
		probe(w);
	else if (r->kind == READY_AFTER)
		timer_set(loop_of(w), &w->probe, r->after, on_after, w);
}

void ready_adopt(struct worker *w)
{
	const struct conf_ready_value *r = ready_of(w);
	int64_t gone = loop_now(loop_of(w)) - w->started;

	if (r->kind == READY_FD && w->readiness >= 0) {
		fd_closep(&record_at(w->readiness)->fd[1]);
		loop_resume(loop_of(w), w->readiness, 0, EPOLLIN, on_pipe, w);
	} else if (r->kind == READY_PROBE) {
		probe_later(w);
	} else {
		ready_end(w);
		if (r->kind == READY_EXEC)
			worker_is_ready(w);
		else if (r->kind == READY_AFTER)
			timer_set(loop_of(w), &w->probe, r->after - gone,
				  on_after, w);
	}
}
