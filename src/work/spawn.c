/*
 * spawn - a process for each arrival; see spawn.h.
 *
 * A process is a RECORD_WORKER; for a connection its data say whose it was,
 * so that its end can be told after a take-over too. Nothing of the
 * connection stays here.
 */
#include "work/spawn.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fd.h"
#include "inlet/admit.h"
#include "inlet/arrival.h"
#include "inlet/listener.h"
#include "inlet/packed.h"
#include "model/run.h"
#include "work/endings.h"
#include "work/launch.h"
#include "work/output.h"

#define RETRY_MS 250	/* out of processes: look again so soon */
#define CALM_MS  10000	/* without a shortage: it is over */

/* RECORD_WORKER's data under spawn. */
struct spawn_data {
	uint64_t cookie;
	int64_t accepted_us;
	uint32_t source;	/* of this process's; counted anew elsewhere */
	uint32_t is_run;
	struct packed peer;
};

struct process {
	TAILQ_ENTRY(process) entry;
	struct service *service;
	int record, output;
	pid_t pid;
	int64_t started;
	struct run *run;
	struct timer age;	/* max_age, then stop_timeout */
	bool told;
	bool failed;		/* how it ended */
};

struct spawn {
	TAILQ_HEAD(, process) processes;
	uint32_t nconns, nruns;
	struct timer retry, calm;
	struct endings *endings;	/* of failed programs, for the log */
	bool stopping;
	bool short_told;	/* of descriptors */
};

/* ---- the end of a process ---- */

static void kill_it(void *arg)
{
	struct process *p = arg;

	child_kill(record_at(p->record)->fd[0], SIGKILL);
}

static void tell_to_stop(void *arg)
{
	struct process *p = arg;
	const struct conf_service *c = p->service->conf;

	if (p->told) {
		kill_it(p);
		return;
	}
	p->told = true;
	child_kill(record_at(p->record)->fd[0], c->stop_signal);
	timer_set(p->service->u->loop, &p->age, c->stop_timeout, kill_it, p);
}

static int status_of(const struct child_exit *e)
{
	if (!e->known)
		return -1;
	return e->signaled ? 128 + e->status : e->status;
}

/* A run's failure is told by trigger/, with what it was for. */
static void tell_end(struct process *p, const char *text)
{
	struct service *s = p->service;
	const struct spawn_data *d = RECORD_AS(p->record, struct spawn_data);
	struct spawn *w = s->work;
	int output = p->output;

	if (!p->failed) {
		log_write(LOG_LEVEL_DEBUG,
			  &(struct log_about){ .service = s->name,
					       .pid = p->pid,
					       .cookie = d->cookie,
					       .event = "worker-exit" },
			  "%s", text);
		return;
	}
	s->data->failures++;
	/* What it said comes before how it ended. */
	p->output = -1;
	free(TAKE(s->last_line));
	output_ended(s, output, true);
	if (!d->is_run)
		endings_add(&w->endings, s, p->pid, d->cookie, text,
			    s->last_line);
}

static void report(struct process *p, const struct child_exit *e)
{
	struct service *s = p->service;
	const struct spawn_data *d = RECORD_AS(p->record, struct spawn_data);
	struct conn c;
	char text[80];

	child_exit_text(e, text, sizeof(text));
	/* Who was told to go may go as it likes. */
	p->failed = !p->told && (!e->known || e->signaled || e->status);
	tell_end(p, text);
	if (d->is_run) {
		s->data->served += e->known && !e->signaled && !e->status;
		if (p->run)
			p->run->done(p->run, status_of(e), text);
		return;
	}
	s->data->served++;
	packed_to_peer(&d->peer, &c);
	arrival_end(s, &(struct conn_end){ .cookie = d->cookie,
					   .source = d->source,
					   .accepted_us = d->accepted_us,
					   .peer = c.peer,
					   .worker = p->pid,
					   .up = -1,
					   .ended = true });
}

static void process_free(struct process *p)
{
	struct spawn *w = p->service->work;

	if (RECORD_AS(p->record, struct spawn_data)->is_run)
		w->nruns--;
	else
		w->nconns--;
	timer_cancel(p->service->u->loop, &p->age);
	if (p->output >= 0)
		output_ended(p->service, p->output, p->failed);
	TAILQ_REMOVE(&w->processes, p, entry);
	record_close(p->record);
	free(p);
}

static void gone_if_done(struct service *s)
{
	struct spawn *w = s->work;

	if (w->stopping && TAILQ_EMPTY(&w->processes)) {
		w->stopping = false;
		service_gone(s);
	}
}

static void on_exit_event(void *arg, uint32_t events)
{
	struct process *p = arg;
	struct service *s = p->service;
	struct child_exit e;

	(void)events;
	if (child_reap(record_at(p->record)->fd[0], &e) == 0)
		return;
	report(p, &e);
	process_free(p);
	service_room(s);
	gone_if_done(s);
}

/* ---- the start of one ---- */

static struct process *process_new(struct service *s, int record, pid_t pid)
{
	struct spawn *w = s->work;
	struct process *p = xcalloc(1, sizeof(*p));

	p->service = s;
	p->record = record;
	p->output = -1;
	p->pid = pid;
	p->started = loop_now(s->u->loop);
	TAILQ_INSERT_TAIL(&w->processes, p, entry);
	if (RECORD_AS(record, struct spawn_data)->is_run)
		w->nruns++;
	else
		w->nconns++;
	if (s->conf->max_age)
		timer_set(s->u->loop, &p->age, s->conf->max_age,
			  tell_to_stop, p);
	return p;
}

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

/* stdout too where no connection stands there. */
static void begin_output(struct launch *l, bool with_stdout, int fd)
{
	if (with_stdout)
		launch_fd(l, fd, 1);
	launch_fd(l, fd, 2);
}

static void add_word(void *arg, const char *w)
{
	launch_word(arg, w);
}

/* Starts what L holds as a process with DATA. 0 or -errno with *WHY. */
static int go(struct launch *l, const struct spawn_data *data, struct run *run,
	      bool with_stdout, char **why)
{
	struct service *s = l->service;
	int record = record_new(RECORD_WORKER, s->slot, 0);
	int out = -1, end = -1, pidfd, r;
	bool inherit = false;
	struct process *p;
	pid_t pid;

	if (record < 0) {
		*why = xasprintf("out of descriptors");
		return record;
	}
	if (l->conf->output != OUTPUT_CONNECTION) {
		out = output_open(s, l->conf, &end, &inherit);
		if (inherit || end >= 0)
			begin_output(l, with_stdout,
				     inherit ? STDERR_FILENO : end);
	}
	FAULT("spawn-start");
	pid = launch_go(l, &pidfd, why);
	FAULT("spawn-started");
	fd_closep(&end);
	if (pid < 0) {
		if (out >= 0)
			output_close(s, out);
		record_forget(record);
		return pid;
	}
	*RECORD_AS(record, struct spawn_data) = *data;
	record_set_fd(record, 0, pidfd);
	record_at(record)->id = (uint64_t)pid;
	record_commit(record);
	FAULT("spawn-recorded");
	p = process_new(s, record, pid);
	p->run = run;
	p->output = out;
	if (out >= 0)
		output_pid(out, pid);
	r = loop_watch(s->u->loop, record, 0, EPOLLIN, on_exit_event, p);
	if (r < 0)
		service_log(s, LOG_LEVEL_ERROR, "pid %d can't be watched: %s",
			    (int)pid, strerror(-r));
	return 0;
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
		r = go(&l, &d, NULL, s->conf->protocol == PROTOCOL_SYSTEMD,
		       &why);
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
		r = go(&l, &d, run, true, why);
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
			tell_to_stop(p);
	gone_if_done(s);
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
		if ((uint64_t)p->pid == record_at(index)->id) {
			p->output = index;
			return 0;
		}
	output_ended(s, index, false);
	return 0;
}

/* ---- for status, conns, kill ---- */

static const struct spawn_data *data_of(const struct process *p)
{
	return RECORD_AS(p->record, struct spawn_data);
}

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
			.holds = !data_of(p)->is_run,
		});
}

static void conns(const struct service *s, conn_info_fn *fn, void *arg)
{
	const struct spawn *w = s->work;
	const struct process *p;
	struct conn c;

	TAILQ_FOREACH(p, &w->processes, entry) {
		if (data_of(p)->is_run)
			continue;
		packed_to_peer(&data_of(p)->peer, &c);
		fn(arg, &(struct conn_info){
			.cookie = data_of(p)->cookie,
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
		if (data_of(p)->is_run || data_of(p)->cookie != cookie)
			continue;
		tell_to_stop(p);
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
		tell_to_stop(p);
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
	struct process *p;

	start(s);
	if (record_at(index)->kind == RECORD_OUTPUT)
		return adopt_output(s, index);
	if (record_at(index)->kind != RECORD_WORKER)
		return -EINVAL;
	count_again(s, d);
	p = process_new(s, index, (pid_t)record_at(index)->id);
	loop_resume(s->u->loop, index, 0, EPOLLIN, on_exit_event, p);
	return 0;
}

static int attach(struct service *s, struct run *r)
{
	struct spawn *w = s->work;
	struct process *p;

	TAILQ_FOREACH(p, &w->processes, entry) {
		const struct spawn_data *d =
			RECORD_AS(p->record, struct spawn_data);

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
