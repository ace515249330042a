/*
 * daemon - opens the house in order, closes it in reverse; signals, systemd.
 *
 * Order: descriptors that were given to us, limits, state, loop, threads,
 * configuration, doors, control. What each part does is its own file's.
 */
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include "action/action.h"
#include "base/fd.h"
#include "base/offload.h"
#include "control/control.h"
#include "inlet/arrival.h"
#include "inlet/listener.h"
#include "manager.h"
#include "model/model.h"
#include "trigger/trigger.h"

#define MAX_DESCRIPTORS 524288	/* that many, however high the hard limit */
#define MAX_SLOTS       16384

struct daemon {
	struct usher u;
	const struct daemon_options *options;
	struct conf *conf;
	int pid_fd;
	int status;
	bool told_to_stop;
};

/* ---- what the floors below call upwards ---- */

static void on_room(struct service *s)
{
	arrival_room(s);
	if (s->triggers)
		trigger_room(s);
}

static void tell_status(struct usher *u)
{
	unsigned n = 0, degraded = 0;
	const struct service *s;

	TAILQ_FOREACH(s, &u->services, entry) {
		n++;
		degraded += s->degraded != NULL;
	}
	manager_status("%u services, %u degraded", n, degraded);
}

static void on_change(struct usher *u, struct service *s)
{
	(void)s;
	tell_status(u);
}

/* The file may name another control socket, or not one that can be had. */
static void follow_control(struct usher *u)
{
	CLEANUP(freep) char *why = NULL;

	if (u->control && control_changed(u, &why) < 0)
		log_error("%s; the control socket stays where it was", why);
}

static void on_conf(struct usher *u)
{
	log_set_level(record_globals()->log_level ?: u->conf->log_level);
	tell_status(u);
	follow_control(u);
}

/* ---- signals ---- */

static void stopped(void *arg, int result, const char *text)
{
	struct daemon *d = arg;

	(void)result;
	(void)text;
	loop_stop(d->u.loop);
}

static void on_stop(void *arg, const struct signalfd_siginfo *si)
{
	struct daemon *d = arg;
	bool again = d->told_to_stop;

	d->told_to_stop = true;
	log_notice("SIG%s: %s", sigabbrev_np((int)si->ssi_signo) ?: "?",
		   again ? "stopping at once" : "draining");
	manager_stopping();
	action_shutdown(&d->u, again, stopped, d);
}

static void reloaded(void *arg, int result, const char *text)
{
	struct daemon *d = arg;
	CLEANUP(freep) char *copy = xstrdup(text);
	char *rest = copy;

	for (char *line; result < 0 && (line = strsep(&rest, "\n"));)
		log_error("%s", line);
	if (result < 0)
		log_error("reload refused, everything goes on as before");
	manager_ready();
	tell_status(&d->u);
}

static void on_hup(void *arg, const struct signalfd_siginfo *si)
{
	struct daemon *d = arg;
	struct service *s;
	int r;

	(void)si;
	if (d->options->roll_on_hup) {
		TAILQ_FOREACH(s, &d->u.services, entry)
			action_roll(s, false, NULL, NULL);
		return;
	}
	manager_reloading();
	r = action_reload(&d->u, false, reloaded, d);
	if (r < 0)
		reloaded(d, r, r == -EBUSY ? "a reload is under way"
					   : strerror(-r));
}

/* ---- opening ---- */

static int64_t raise_limit(int64_t want)
{
	struct rlimit r;

	getrlimit(RLIMIT_NOFILE, &r);
	child_default_nofile(&r);
	r.rlim_cur = r.rlim_max;
	if (want && (rlim_t)want < r.rlim_max)
		r.rlim_cur = (rlim_t)want;
	if (r.rlim_cur > MAX_DESCRIPTORS)
		r.rlim_cur = MAX_DESCRIPTORS;
	if (setrlimit(RLIMIT_NOFILE, &r) < 0)
		log_warning("max_descriptors: %s", strerror(errno));
	return (int64_t)r.rlim_cur;
}

/* Written whole and locked: who reads a pid there can trust it. */
static int write_pid_file(struct daemon *d, const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);

	if (fd < 0) {
		log_error("pid_file %s: %s", path, strerror(errno));
		return -errno;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		log_error("pid_file %s: another process holds it", path);
		close(fd);
		return -EBUSY;
	}
	if (ftruncate(fd, 0) < 0 || dprintf(fd, "%d\n", (int)getpid()) < 0)
		log_warning("pid_file %s: %s", path, strerror(errno));
	d->pid_fd = fd;
	return 0;
}

static void print_report(const struct conf_report *r)
{
	for (size_t i = 0; i < r->notes.n; i++)
		log_notice("%s", r->notes.v[i]);
	for (size_t i = 0; i < r->errors.n; i++)
		log_error("%s", r->errors.v[i]);
}

static int load(struct daemon *d)
{
	struct conf_report report = { 0 };
	int r = conf_load(&d->options->source, &d->conf, &report);

	if (r == 0) {
		log_set_level(d->conf->log_level);
		if (log_open(d->conf->log) < 0)
			log_warning("log: the journal or syslog can't be "
				    "reached, writing to standard error");
	}
	print_report(&report);
	conf_report_free(&report);
	return r < 0 ? EX_CONFIG : 0;
}

static int open_ground(struct daemon *d)
{
	int64_t max = raise_limit(d->conf->max_descriptors);
	struct usher *u = &d->u;
	int r = record_open((uint32_t)max, MAX_SLOTS);

	if (r == 0)
		r = loop_open(&u->loop, false);
	if (r == 0)
		r = offload_open(u->loop);
	if (r < 0) {
		log_error("can't begin: %s", strerror(-r));
		return 1;
	}
	record_globals()->born = (uint64_t)loop_now(u->loop);
	record_globals()->pid = (uint32_t)getpid();
	record_globals()->generation++;
	u->by_slot = xcalloc(slot_max(), sizeof(*u->by_slot));
	TAILQ_INIT(&u->services);
	TAILQ_INIT(&u->gone);
	u->source = d->options->source;
	u->workers_inherit_stdio = d->options->inherit_stdio;
	u->on_room = on_room;
	u->on_gone = action_gone;
	u->on_change = on_change;
	u->on_conf = on_conf;
	loop_signal(u->loop, SIGTERM, on_stop, d);
	loop_signal(u->loop, SIGINT, on_stop, d);
	loop_signal(u->loop, SIGHUP, on_hup, d);
	signal(SIGPIPE, SIG_IGN);
	return 0;
}

static int open_doors(struct daemon *d)
{
	CLEANUP(freep) char *why = NULL;
	struct usher *u = &d->u;
	int open;

	if (d->conf->pid_file && write_pid_file(d, d->conf->pid_file) < 0)
		return 1;
	if (control_lock(&d->conf->control, &why) < 0) {
		log_error("%s", why);
		return 1;
	}
	open = action_open(u, d->conf);
	if (listener_inherited_close() > 0)
		log_warning("descriptors were inherited that no service "
			    "names (fd:NAME); they are closed");
	if (d->conf->nservices == 0)
		log_notice("no service yet: add one to %s and reload",
			   d->conf->path ?: "the configuration");
	if (d->conf->nservices > 0 && open <= 0) {
		log_error("no door could be opened");
		return 1;
	}
	if (control_open(u, &why) < 0) {
		log_error("%s", why);
		return 1;
	}
	return 0;
}

static void close_house(struct daemon *d)
{
	struct usher *u = &d->u;

	if (u->loop) {
		control_close(u);
		offload_close();
		loop_close(&u->loop);
		free(u->by_slot);
		conf_unref(&u->conf);
		record_shutdown();
	}
	conf_unref(&d->conf);
	fd_closep(&d->pid_fd);
	log_close();
}

static void serve(struct daemon *d)
{
	int r;

	manager_ready();
	manager_watchdog(d->u.loop);
	tell_status(&d->u);
	if (d->options->greeting) {
		fputs(d->options->greeting, stdout);
		fflush(stdout);
	}
	r = loop_run(d->u.loop);
	if (r < 0) {
		log_error("the loop failed: %s", strerror(-r));
		d->status = 1;
	}
}

int daemon_serve(const struct daemon_options *o)
{
	struct daemon d = { .options = o, .pid_fd = -1 };

	listener_inherit();
	manager_open();
#ifndef USHER_DEBUG
	prctl(PR_SET_DUMPABLE, 0);
#endif
	d.status = load(&d);
	if (d.status == 0)
		d.status = open_ground(&d);
	if (d.status == 0)
		d.status = open_doors(&d);
	if (d.status == 0)
		serve(&d);
	close_house(&d);
	return d.status;
}
