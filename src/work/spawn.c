/*
 * spawn - a process for each arrival; see spawn.h.
 *
 * This is the handler: what a process is started for, when there is room for
 * one, what is shown of them, and taking them over. A process is a
 * RECORD_WORKER; for a connection its data say whose it was, so that its end
 * can be told after a take-over too. Nothing of the connection stays here.
 *
 * How a process starts and what its end means is work/spawn_process's.
 */
#include "work/spawn.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "inlet/admit.h"
#include "inlet/arrival.h"
#include "inlet/listener.h"
#include "work/endings.h"
#include "work/output.h"
#include "work/spawn_private.h"

#define RETRY_MS 250	/* out of processes: look again so soon */
#define CALM_MS  10000	/* without a shortage: it is over */

/* ---- what a process is started for ---- */

static void begin_conn(struct launch *l, const struct conn *c)
{
	if (l->conf->protocol == PROTOCOL_SYSTEMD) {
		launch_fd(l, c->fd, 3);
		launch_env(l, "LISTEN_FDS=1");
		launch_env(l, "LISTEN_FDNAMES=connection");
		launch_pid_env(l, "LISTEN_PID");
		return;
	}
	launch_fd(l, c->fd, 0);
	launch_fd(l, c->fd, 1);
	if (l->conf->output == OUTPUT_CONNECTION)
		launch_fd(l, c->fd, 2);
}

static void add_word(void *arg, const char *w)
{
	launch_word(arg, w);
}

static bool want_later(int error)
{
	return error == -EAGAIN || error == -ENOMEM || error == -EMFILE ||
	       error == -ENFILE;
}

static void on_retry(void *arg)
{
	struct service *s = arg;

	service_release(s, HOLD_WORK);
	service_room(s);
}

static void on_calm(void *arg)
{
	service_recover(arg);
}

/* One was started: the service is well, unless it was short of something a
 * moment ago and will be again; that is told once and not each time. */
static void started(struct service *s)
{
	const struct spawn *w = s->work;

	if (!timer_is_set(&w->calm))
		service_recover(s);
}

/* Out of processes or descriptors: an ordinary day. Arrivals wait. */
static void back_off(struct service *s)
{
	struct spawn *w = s->work;

	service_hold(s, HOLD_WORK);
	timer_set(s->u->loop, &w->calm, CALM_MS, on_calm, s);
	if (!timer_is_set(&w->retry))
		timer_set(s->u->loop, &w->retry, RETRY_MS, on_retry, s);
}

static int arrive(struct service *s, struct conn *c)
{
	struct spawn_data d = { .cookie = c->cookie,
				.accepted_us = c->accepted_us,
				.source = c->source };
	CLEANUP(freep) char *why = NULL;
	struct launch l;
	int r = launch_begin(&l, s, s->conf, s->data->generation, &why);

	packed_peer(&d.peer, c);
	if (r == 0) {
		launch_words(c, add_word, &l);
		begin_conn(&l, c);
		fd_nonblock(c->fd, false);
		r = process_start(&l, &d, NULL,
				  s->conf->protocol == PROTOCOL_SYSTEMD, &why);
	}
	launch_end(&l);
	if (r < 0)
		service_degrade(s, "%s", why);
	if (want_later(r)) {
		back_off(s);
		return -EAGAIN;
	}
	if (r < 0) {
		arrival_refuse(s, c, REFUSED_START, ON_REFUSE);
		return 0;
	}
	started(s);
	stats_add(&s->data->to_handoff,
		  (uint64_t)(loop_us() - c->accepted_us));
	if (c->shared)
		fd_no_linger(c->fd);
	fd_closep(&c->fd);
	return 0;
}

/* The message on standard input: a memfd takes any size and never blocks. */
static int message_fd(const struct run *r)
{
	int fd = memfd_create("usher-message", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (write(fd, r->message, r->len) != (ssize_t)r->len ||
	    lseek(fd, 0, SEEK_SET) < 0) {
		close(fd);
		return -EIO;
	}
	return fd;
}

static int run_start(struct service *s, struct run *run, char **why)
{
	const struct spawn_data d = { .is_run = 1, .cookie = run->id };
	CLEANUP(fd_closep) int in = message_fd(run);
	struct launch l;
	int r;

	if (in < 0)
		return in;
	r = launch_begin(&l, s, s->conf, s->data->generation, why);
	if (r == 0) {
		launch_fd(&l, in, 0);
		if (run->text)
			launch_env(&l, "USHER_TRIGGER=%.*s", (int)run->len,
				   run->message);
		launch_env(&l, "USHER_TRIGGER_ID=%llu",
			   (unsigned long long)run->id);
		r = process_start(&l, &d, run, true, why);
	}
	launch_end(&l);
	return r;
}

static int run(struct service *s, struct run *run)
{
	CLEANUP(freep) char *why = NULL;
	struct spawn *w = s->work;
	int r;

	if (w->nruns >= service_workers(s).max)
		return -EAGAIN;
	r = run_start(s, run, &why);
	if (r == 0) {
		started(s);
		return 0;
	}
	service_degrade(s, "%s", why ?: strerror(-r));
	if (want_later(r)) {
		back_off(s);
		return -EAGAIN;
	}
	run->done(run, 127, why ?: strerror(-r));
	return 0;
}

/* ---- the handler ---- */

static int start(struct service *s)
{
	struct spawn *w = s->work;

	if (w)
		return 0;
	w = xcalloc(1, sizeof(*w));
	TAILQ_INIT(&w->processes);
	s->work = w;
	return 0;
}

/* What usher itself needs at most, and what a process costs: its pidfd, and
 * the pipe of its output. */
#define OWN_FDS   32
#define EACH_FDS 2
#define LEAST     4

/* One service takes half of the descriptors at most: where there are few,
 * clients of the others would crawl behind its. */
static uint32_t share(void)
{
	uint32_t max = record_max();
	uint32_t n = max > OWN_FDS ? (max - OWN_FDS) / 2 / EACH_FDS : 0;

	return n > LEAST ? n : LEAST;
}

static bool room(struct service *s)
{
	struct spawn *w = s->work;

	if (s->conf->max_connections &&
	    w->nconns >= (uint32_t)s->conf->max_connections)
		return false;
	if (w->nconns < share())
		return true;
	if (!w->short_told)
		service_log(s, LOG_LEVEL_WARNING,
			    "%u processes have its share of %u descriptors, "
			    "arrivals wait; a higher hard limit and "
			    "max_descriptors give more", w->nconns,
			    record_max());
	w->short_told = true;
	return false;
}

static void changed(struct service *s, const struct conf_service *old,
		    unsigned bits)
{
	(void)old;
	(void)bits;
	service_room(s);
}

/* What is started from now on is of the new generation. */
static int roll(struct service *s,
		void (*done)(void *arg, int result, const char *why),
		void *arg)
{
	s->data->generation++;
	s->data->rolls++;
	if (done)
		done(arg, 0, NULL);
	return 0;
}

static int scale(struct service *s)
{
	service_room(s);
	return 0;
}

static void stop(struct service *s, bool now)
{
	struct spawn *w = s->work;
	struct process *p;

	w->stopping = true;
	TAILQ_FOREACH(p, &w->processes, entry)
		if (now)
			process_stop(p);
	spawn_gone_if_done(s);
}

static uint32_t busy(const struct service *s)
{
	const struct spawn *w = s->work;

	return w ? w->nconns + w->nruns : 0;
}

/* The output of a process that lives, or of one whose children write on. */
static int adopt_output(struct service *s, int index)
{
	struct spawn *w = s->work;
	struct process *p;
	int r = output_adopt(s, index);

	if (r < 0)
		return r;
	TAILQ_FOREACH(p, &w->processes, entry)
		if (output_is_of(index, p->record)) {
			p->output = index;
			output_pid(index, p->pid);
			return 0;
		}
	output_ended(s, index, false);
	return 0;
}

/* ---- for status, conns, kill ---- */

static void workers(const struct service *s, worker_info_fn *fn, void *arg)
{
	const struct spawn *w = s->work;
	const struct process *p;

	TAILQ_FOREACH(p, &w->processes, entry)
		fn(arg, &(struct worker_info){
			.pid = p->pid,
			.generation = s->data->generation,
			.state = p->told ? "stopping" : "busy",
			.age_ms = loop_now(s->u->loop) - p->started,
			.requests = 1,
			.holds = !process_data(p)->is_run,
		});
}

static void conns(const struct service *s, conn_info_fn *fn, void *arg)
{
	const struct spawn *w = s->work;
	const struct process *p;
	struct conn c;

	TAILQ_FOREACH(p, &w->processes, entry) {
		if (process_data(p)->is_run)
			continue;
		packed_to_peer(&process_data(p)->peer, &c);
		fn(arg, &(struct conn_info){
			.cookie = process_data(p)->cookie,
			.peer = &c.peer,
			.age_ms = loop_now(s->u->loop) - p->started,
			.worker = p->pid,
			.up = -1,
			.down = -1,
			.state = "open",
		});
	}
}

/* Its process ends, as at max_age: stop_signal first. */
static int kill_conn(struct service *s, uint64_t cookie, pid_t *holder)
{
	struct spawn *w = s->work;
	struct process *p;

	(void)holder;
	TAILQ_FOREACH(p, &w->processes, entry) {
		if (process_data(p)->is_run ||
		    process_data(p)->cookie != cookie)
			continue;
		process_stop(p);
		return 0;
	}
	return -ENOENT;
}

static int kill_worker(struct service *s, pid_t pid)
{
	struct spawn *w = s->work;
	struct process *p;

	TAILQ_FOREACH(p, &w->processes, entry) {
		if (p->pid != pid)
			continue;
		process_stop(p);
		return 0;
	}
	return -ENOENT;
}

/* Its place, in this process's books. */
static void count_again(struct service *s, struct spawn_data *d)
{
	struct conn c = { .fd = -1 };

	if (d->is_run)
		return;
	packed_to_peer(&d->peer, &c);
	admit_enter(s, &c);
	d->source = c.source;
}

static int adopt(struct service *s, int index)
{
	struct spawn_data *d = RECORD_AS(index, struct spawn_data);

	start(s);
	if (record_at(index)->kind == RECORD_OUTPUT)
		return adopt_output(s, index);
	if (record_at(index)->kind != RECORD_WORKER)
		return -EINVAL;
	count_again(s, d);
	process_adopt(s, index);
	return 0;
}

static int attach(struct service *s, struct run *r)
{
	struct spawn *w = s->work;
	struct process *p;

	TAILQ_FOREACH(p, &w->processes, entry) {
		const struct spawn_data *d = process_data(p);

		if (d->is_run && d->cookie == r->id && !p->run) {
			p->run = r;
			return 0;
		}
	}
	return -ENOENT;
}

static void end(struct service *s)
{
	struct spawn *w = s->work;
	struct process *p;

	if (!w)
		return;
	while ((p = TAILQ_FIRST(&w->processes)))
		process_free(p);
	timer_cancel(s->u->loop, &w->retry);
	timer_cancel(s->u->loop, &w->calm);
	endings_end(&w->endings, s);
	free(TAKE(s->work));
}

const struct handler handler_spawn = {
	.name = "spawn",
	.start = start,
	.room = room,
	.arrive = arrive,
	.run = run,
	.changed = changed,
	.roll = roll,
	.scale = scale,
	.stop = stop,
	.busy = busy,
	.adopt = adopt,
	.attach = attach,
	.end = end,
	.workers = workers,
	.conns = conns,
	.kill_conn = kill_conn,
	.kill_worker = kill_worker,
};
