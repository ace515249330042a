/*
 * spawn_process - one process of spawn, from its start to its end.
 *
 * It is started with what the launch holds, watched and reaped by its pidfd
 * alone, told to go at max_age, and its end is told to whom it concerns: the
 * arrival's books, the run, the log. Its record is written before anybody
 * may wait for it, so a take-over finds it.
 *
 * What it is started for, and when there is room for one, is work/spawn's.
 */
#include "work/spawn_private.h"

#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fd.h"
#include "inlet/arrival.h"
#include "work/endings.h"
#include "work/output.h"

/* ---- the end of a process ---- */

static void kill_it(void *arg)
{
	struct process *p = arg;

	child_kill(record_at(p->record)->fd[0], SIGKILL);
}

void process_stop(struct process *p)
{
	const struct conf_service *c = p->service->conf;

	if (p->told) {
		kill_it(p);
		return;
	}
	p->told = true;
	child_kill(record_at(p->record)->fd[0], c->stop_signal);
	if (c->stop_timeout > 0)
		timer_set(p->service->u->loop, &p->age, c->stop_timeout,
			  kill_it, p);
	else
		timer_cancel(p->service->u->loop, &p->age);
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

void process_free(struct process *p)
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

void spawn_gone_if_done(struct service *s)
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
	spawn_gone_if_done(s);
}

/* ---- the start of one ---- */

static void on_max_age(void *arg)
{
	process_stop(arg);
}

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
			  on_max_age, p);
	return p;
}

/* stdout too where no connection stands there. */
static void begin_output(struct launch *l, bool with_stdout, int fd)
{
	if (with_stdout)
		launch_fd(l, fd, 1);
	launch_fd(l, fd, 2);
}

int process_start(struct launch *l, const struct spawn_data *data,
		  struct run *run, bool with_stdout, char **why)
{
	struct service *s = l->service;
	int record = record_new(RECORD_WORKER, s->slot, 0);
	int out = -1, end = -1, r;
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
	if (out >= 0)
		output_before(out, record);
	*RECORD_AS(record, struct spawn_data) = *data;
	record_commit(record);
	FAULT("spawn-start");
	pid = launch_go(l, record, why);
	FAULT("spawn-started");
	fd_closep(&end);
	if (pid < 0) {
		if (out >= 0)
			output_close(s, out);
		record_forget(record);
		return pid;
	}
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

void process_adopt(struct service *s, int record)
{
	struct process *p =
		process_new(s, record, (pid_t)record_at(record)->id);

	loop_resume(s->u->loop, record, 0, EPOLLIN, on_exit_event, p);
}
