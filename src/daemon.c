/*
 * daemon - from start to end: the house (house.h) is opened, wired, served in
 * and closed; signals, and what the floors below call upwards.
 */
#include "daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "action/action.h"
#include "continuity/begin.h"
#include "continuity/crash.h"
#include "continuity/keeper.h"
#include "continuity/upgrade.h"
#include "control/control.h"
#include "house.h"
#include "inlet/arrival.h"
#include "inlet/listener.h"
#include "manager.h"
#include "serve.h"
#include "trigger/trigger.h"

/* ---- what the floors below call upwards ---- */

static void on_room(struct service *s)
{
	arrival_room(s);
	if (s->triggers)
		trigger_room(s);
}

static void on_returned(struct service *s, const char *message, size_t len)
{
	if (trigger_return(s, message, len) < 0)
		service_log(s, LOG_LEVEL_ERROR, "a trigger that came back "
			    "from a worker's queue has no place to wait");
}

static void tell_status(struct usher *u)
{
	unsigned n = 0, degraded = 0;
	const struct service *s;

	TAILQ_FOREACH(s, &u->services, entry) {
		n++;
		degraded += s->degraded != NULL;
	}
	manager_status("%u service%s, %u degraded%s%s", n,
		       n == 1 ? "" : "s", degraded,
		       u->notice ? "; " : "", u->notice ?: "");
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

/* A half-done reload can't be carried on by another image. */
static void on_handover(struct usher *u)
{
	action_reload_end(u, -ECANCELED, "an upgrade came first, and nothing "
			  "was changed; reload again");
}

static void on_conf(struct usher *u)
{
	log_set_level(record_globals()->log_level ?: u->conf->log_level);
	free(TAKE(u->notice));
	begin_remember(u);
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

/* Under a service manager that keeps our descriptors SIGTERM is a restart
 * (its ExecStop has drained before, at a stop): the keeper has all. */
static bool is_restart(const struct daemon *d, uint32_t signo)
{
	return signo == SIGTERM && !d->u.stopping &&
	       record_globals()->stored && record_globals()->keeper;
}

static void on_stop(void *arg, const struct signalfd_siginfo *si)
{
	struct daemon *d = arg;
	bool again = d->told_to_stop;

	revive_rest();
	if (is_restart(d, si->ssi_signo)) {
		log_notice("SIGTERM: leaving, the keeper has all");
		_exit(0);
	}
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
	listener_inherited_close();
	manager_ready();
	tell_status(&d->u);
}

/* What others reopen logs or upgrade by would end us by default. */
static void on_unknown(void *arg, const struct signalfd_siginfo *si)
{
	(void)arg;
	log_notice("SIG%s: means nothing here; usher --help lists what can "
		   "be asked for", sigabbrev_np((int)si->ssi_signo) ?: "?");
}

static void reload(void *arg)
{
	struct daemon *d = arg;
	int r;

	manager_reloading();
	r = action_reload(&d->u, false, reloaded, d);
	if (r < 0)
		reloaded(d, r, strerror(-r));
}

static void on_hup(void *arg, const struct signalfd_siginfo *si)
{
	struct daemon *d = arg;
	struct service *s;

	(void)si;
	revive_rest();
	if (!d->options->roll_on_hup) {
		reload(d);
		return;
	}
	TAILQ_FOREACH(s, &d->u.services, entry)
		action_roll(s, false, NULL, NULL);
}

/* ---- wiring ---- */

/* Who has a pidfd in a record is waited for by that. */
static bool is_known(void *arg, pid_t pid)
{
	(void)arg;
	for (int i = -1; (i = record_next(RECORD_NONE, i)) >= 0;)
		if ((record_at(i)->kind == RECORD_WORKER ||
		     record_at(i)->kind == RECORD_WATCH ||
		     record_at(i)->kind == RECORD_LEASE) &&
		    record_at(i)->id == (uint64_t)pid)
			return true;
	return false;
}

/* In a container's place 1, or where the parent said so: what our workers
 * leave behind becomes our child, and nobody else reaps it. */
static void reap_orphans(struct usher *u)
{
	int subreaper = 0;

	prctl(PR_GET_CHILD_SUBREAPER, &subreaper);
	if (getpid() == 1 || subreaper)
		loop_reap(u->loop, is_known, NULL);
}

static void wire(struct daemon *d)
{
	struct usher *u = &d->u;

	u->by_slot = xcalloc(slot_max(), sizeof(*u->by_slot));
	TAILQ_INIT(&u->services);
	TAILQ_INIT(&u->gone);
	TAILQ_INIT(&u->leaving);
	u->source = d->options->source;
	u->workers_inherit_stdio = d->options->inherit_stdio;
	u->on_room = on_room;
	u->on_gone = action_gone;
	u->on_change = on_change;
	u->on_conf = on_conf;
	u->on_handover = on_handover;
	u->on_returned = on_returned;
	loop_signal(u->loop, SIGTERM, on_stop, d);
	loop_signal(u->loop, SIGINT, on_stop, d);
	loop_signal(u->loop, SIGHUP, on_hup, d);
	loop_signal(u->loop, SIGUSR1, on_unknown, d);
	loop_signal(u->loop, SIGUSR2, on_unknown, d);
	signal(SIGPIPE, SIG_IGN);
	crash_watch(u->loop);
	reap_orphans(u);
}

/* Who began it in a terminal would see nothing else. */
static void tell_began(const struct daemon *d)
{
	CLEANUP(freep) char *runtime = serve_runtime();
	CLEANUP(freep) char *own = xasprintf("%s/control", runtime);
	const char *path = d->u.conf->control.path;
	bool usual = strcmp(path, own) == 0;
	size_t services = 0, doors = 0;
	const struct endpoint *ep;
	const struct service *s;

	TAILQ_FOREACH(s, &d->u.services, entry) {
		services++;
		TAILQ_FOREACH(ep, &s->endpoints, entry)
			doors += ep->record >= 0;
	}
	log_notice("serves: %zu service%s, %zu door%s; to look: usher "
		   "status%s%s", services, services == 1 ? "" : "s", doors,
		   doors == 1 ? "" : "s", usual ? "" : " --control ",
		   usual ? "" : path);
}

static void serve(struct daemon *d)
{
	int r;

	if (d->how == BEGIN_COLD)
		manager_ready();
	manager_watchdog(d->u.loop);
	tell_status(&d->u);
	if (d->options->greeting && d->how == BEGIN_COLD) {
		fputs(d->options->greeting, stdout);
		fflush(stdout);
	} else if (d->how == BEGIN_COLD) {
		tell_began(d);
	}
	if (d->conf_differs) {
		revive_rest();
		reload(d);
	}
	r = loop_run(d->u.loop);
	if (r < 0) {
		log_error("the loop failed: %s", strerror(-r));
		d->status = 1;
	}
}

int daemon_serve(const struct daemon_options *o)
{
	struct daemon d = { .options = o, .reload = reload };

	prctl(PR_SET_NAME, "usher");
#ifndef USHER_DEBUG
	prctl(PR_SET_DUMPABLE, 0);
#endif
	keeper_remember(o->argv);
	if (!o->carry)
		listener_inherit();
	getrlimit(RLIMIT_NOFILE, &d.started);
	child_default_nofile(&d.started);
	manager_open();
	d.status = house_begin(&d);
	if (d.status == 0) {
		wire(&d);
		d.status = house_open(&d);
	}
	if (d.status == 0)
		serve(&d);
	else if (d.how == BEGIN_CARRIED)
		upgrade_go_back("it could not begin");
	house_close(&d);
	return d.status;
}
