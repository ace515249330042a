/*
 * house - opening and closing, part by part; see house.h.
 */
#include "house.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "action/action.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/offload.h"
#include "base/resolve.h"
#include "continuity/fdstore.h"
#include "continuity/keeper.h"
#include "continuity/upgrade.h"
#include "control/control.h"
#include "inlet/listener.h"
#include "manager.h"
#include "serve.h"
#include "work/output.h"

#define MAX_SLOTS 16384
#define WRONG_FILE "the file on disk is wrong; the last good configuration " \
		   "is in force"

/* ---- the configuration ---- */

static void print_report(const struct conf_report *r)
{
	for (size_t i = 0; i < r->notes.n; i++)
		log_notice("%s", r->notes.v[i]);
	for (size_t i = 0; i < r->errors.n; i++)
		log_error("%s", r->errors.v[i]);
}

static void open_log(const struct conf *c)
{
	log_set_level(c->log_level);
	if (log_open(c->log) < 0)
		log_warning("log: the journal or syslog can't be reached, "
			    "writing to standard error");
}

static bool conf_differ(const struct conf *a, const struct conf *b)
{
	size_t na, nb;
	CLEANUP(freep) char *ta = conf_dump(a, &na);
	CLEANUP(freep) char *tb = conf_dump(b, &nb);

	return na != nb || memcmp(ta, tb, na) != 0;
}

/* The file on disk; not there or wrong: 78, unless a state goes on. */
static int load(struct daemon *d)
{
	struct conf_report report = { 0 };
	int r = conf_load(&d->options->source, &d->conf, &report);

	if (r == 0)
		open_log(d->conf);
	print_report(&report);
	d->control = TAKE(report.control);
	conf_report_free(&report);
	return r < 0 ? EX_CONFIG : 0;
}

/* A state was taken over: its configuration is in force first. */
static int recall(struct daemon *d)
{
	struct conf_report report = { 0 };
	struct conf *kept = NULL;
	int r = begin_recall(&kept, &report);

	conf_report_free(&report);
	if (r < 0 && d->unread && load(d) == 0)
		return 0;
	if (r < 0) {
		if (d->conf)
			return 0;
		log_error("the state's configuration can't be read either");
		return EX_CONFIG;
	}
	if (d->conf) {
		d->conf_differs = conf_differ(d->conf, kept);
	} else {
		open_log(kept);
		if (!d->unread) {
			d->u.notice = xstrdup(WRONG_FILE);
			log_error("%s", d->u.notice);
		}
	}
	conf_unref(&d->conf);
	d->conf = kept;
	return 0;
}

/* ---- the file, while doors are served ---- */

struct look {
	struct daemon *d;
	struct conf_source source;	/* own: the daemon may end sooner */
	struct conf *conf;	/* in force when it began */
	struct conf_report report;
	bool wrong, differs;
};

/* In a thread: configurations are constants. */
static void look_at_file(void *arg)
{
	struct look *k = arg;
	struct conf *c = NULL;

	k->wrong = conf_load(&k->source, &c, &k->report) < 0;
	k->differs = !k->wrong && conf_differ(c, k->conf);
	conf_unref(&c);
}

static void looked(void *arg)
{
	struct look *k = arg;
	struct daemon *d = k->d;

	if (k->conf != d->u.conf || d->u.stopping) {
		k->wrong = k->differs = false;	/* a reload was sooner */
	} else if (k->wrong) {
		free(d->u.notice);
		d->u.notice = xstrdup(WRONG_FILE);
		log_error("%s", d->u.notice);
		print_report(&k->report);
		d->u.on_change(&d->u, NULL);
	} else if (k->differs) {
		d->reload(d);
	}
	conf_report_free(&k->report);
	conf_unref(&k->conf);
	free(k);
}

/* An upgrade goes on with what was in force, and only then looks whether the
 * file says something else. */
static void look_later(struct daemon *d)
{
	struct look *k = xcalloc(1, sizeof(*k));

	k->d = d;
	k->source = d->options->source;
	k->conf = conf_ref(d->u.conf);
	if (offload(look_at_file, looked, k) == 0)
		return;
	conf_unref(&k->conf);
	free(k);
	log_warning("the file on disk was not looked at: no thread");
}

/* ---- opening ---- */

static int64_t raise_limit(int64_t want)
{
	struct rlimit r;

	getrlimit(RLIMIT_NOFILE, &r);
	r.rlim_cur = r.rlim_max;
	if (want && (rlim_t)want < r.rlim_max)
		r.rlim_cur = (rlim_t)want;
	if (setrlimit(RLIMIT_NOFILE, &r) < 0)
		log_warning("max_descriptors: %s", strerror(errno));
	return (int64_t)r.rlim_cur;
}

/* Another usher, whose descriptors we have, locked it. */
static bool has_pid_file(const char *path)
{
	struct stat mine, there;

	return fstat(ROLE_PID, &mine) == 0 && S_ISREG(mine.st_mode) &&
	       lstat(path, &there) == 0 && mine.st_ino == there.st_ino &&
	       mine.st_dev == there.st_dev;
}

static int lock_pid_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	int r = fd < 0 ? -errno : 0;

	if (fd < 0) {
		log_error("pid_file %s: %s", path, strerror(-r));
		return r;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		log_error("pid_file %s: another process holds it", path);
		close(fd);
		return -EBUSY;
	}
	return record_role(fd, ROLE_PID);
}

/* Written whole and locked: who reads a pid there can trust it. */
static int write_pid_file(struct daemon *d, const char *path)
{
	int r = has_pid_file(path) ? 0 : lock_pid_file(path);
	char pid[16];
	int n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());

	if (r < 0)
		return r;
	/* In this order, so that who reads it finds a pid at every moment. */
	if (pwrite(ROLE_PID, pid, (size_t)n, 0) < n ||
	    ftruncate(ROLE_PID, n) < 0)
		log_warning("pid_file %s: %s", path, strerror(errno));
	d->pid_written = true;
	return 0;
}

static const char *control_path(const struct daemon *d, char **own)
{
	CLEANUP(freep) char *runtime = NULL;

	if (d->conf || d->control)
		return d->conf ? d->conf->control.path : d->control;
	runtime = serve_runtime();
	*own = xasprintf("%s/control", runtime);
	return *own;
}

/* WHY the control socket can't be had, by its key and with a cure. */
static void tell_control(const struct daemon *d, const char *why)
{
	const struct conf *c = d->conf;
	const struct conf_where *at = conf_usher_where(c, "control");

	if (at)
		log_error("%s:%u: [usher] control: %s", at->file, at->line,
			  why);
	else
		log_error("%s (where it is by default; [usher] control = "
			  "unix:/PATH in %s says another place)", why,
			  c->path);
}

/* From nothing, or from where another usher ended. */
static int begin(struct daemon *d)
{
	CLEANUP(freep) char *own = NULL;
	CLEANUP(freep) char *why = NULL;
	const char *control = control_path(d, &own);
	bool dead = control && begin_holder_dead(control);
	int r = 0;

	log_close();		/* its number may be one that comes */
	d->how = begin_find(d->options->carry, dead ? control : NULL, &why);
	if (d->conf)
		open_log(d->conf);
	if (d->how != BEGIN_COLD)
		r = recall(d);
	else if (d->unread)
		r = load(d);
	if (why)
		log_error("%s", why);
	if (d->how != BEGIN_COLD || r != 0)
		return r;
	d->unread = false;
	if (!d->conf)
		return EX_CONFIG;
	free(TAKE(why));
	if (control_lock(&d->conf->control, &why) < 0) {
		tell_control(d, why);
		return 1;
	}
	return 0;
}

static int open_state(struct daemon *d)
{
	int64_t max = raise_limit(d->conf->max_descriptors);
	int image, r = 0;

	if (d->how == BEGIN_CARRIED) {
		/* execve kept the limit that the one before had raised. */
		d->started.rlim_cur = record_globals()->nofile_soft;
		d->started.rlim_max = record_globals()->nofile_hard;
		child_default_nofile(&d->started);
	}
	if (d->how != BEGIN_COLD) {
		char pid[16];
		int n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());

		if (ftruncate(ROLE_LOCK, 0) == 0 &&
		    pwrite(ROLE_LOCK, pid, (size_t)n, 0) != n)
			log_warning("the lock beside the control socket can't "
				    "be written");
		return 0;
	}
	r = record_open((uint32_t)max, MAX_SLOTS);
	image = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (r == 0 && image >= 0)
		r = record_role(image, ROLE_IMAGE0);
	if (r < 0)
		return r;
	record_globals()->born = (uint64_t)(loop_us() / 1000);
	record_globals()->pid = (uint32_t)getpid();
	record_globals()->generation = 1;
	record_globals()->nofile_soft = d->started.rlim_cur;
	record_globals()->nofile_hard = d->started.rlim_max;
	return 0;
}

static int open_ground(struct daemon *d)
{
	struct usher *u = &d->u;
	int r = open_state(d);

	if (r == 0)
		r = loop_open(&u->loop, d->how != BEGIN_COLD);
	if (r == 0)
		r = offload_open(u->loop);
	if (r < 0) {
		log_error("can't begin: %s", strerror(-r));
		return 1;
	}
	return 0;
}

static void keep(struct daemon *d)
{
	struct usher *u = &d->u;
	int r;

	r = keeper_start(u, u->conf->keeper, u->conf->control.path);
	if (r < 0)
		log_error("no keeper: %s; kill -9 would lose what is open",
			  strerror(-r));
	if (d->how != BEGIN_COLD)
		FAULT("taken-keeper");
	if (u->conf->keeper != KEEPER_NO && d->how == BEGIN_COLD)
		fdstore_keep();
}

static int open_control(struct daemon *d)
{
	CLEANUP(freep) char *why = NULL;

	if (control_open(&d->u, &why) == 0)
		return 0;
	tell_control(d, why);
	return 1;
}

static int open_cold(struct daemon *d)
{
	struct usher *u = &d->u;
	int open;

	if (d->conf->pid_file && write_pid_file(d, d->conf->pid_file) < 0)
		return 1;
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
	begin_remember(u);
	keep(d);
	return open_control(d);
}

static void dismiss(void *arg)
{
	(void)arg;
	FAULT("taken-turn");
	keeper_dismiss_old();
	FAULT("taken-dismissed");
}

/* Every record is hung: the rest of what was taken over. */
static void taken(void *arg)
{
	struct daemon *d = arg;
	const struct revived *r = &d->revived;

	begin_succeeded();
	log_notice("took over in %.1f ms, all of it in %.1f: %u doors, "
		   "%u workers, %u relays, %u other records; %u connections "
		   "found on their way, %u of them handed on before, %u "
		   "records dropped", (double)(d->attended - d->began) / 1000,
		   (double)(loop_us() - d->began) / 1000, r->doors,
		   r->workers, r->relays, r->others, r->fresh + r->sent,
		   r->sent, r->dropped);
	if (d->unread)
		look_later(d);
	d->unread = false;
}

/* Services that the file no longer has, and that finish what they have. */
static void revive_leaving(struct usher *u)
{
	struct conf *c;

	for (unsigned i = 0; begin_recall_leaving(i, &c) == 0; i++) {
		action_revive_leaving(u, c);
		conf_unref(&c);
	}
}

/* Where another usher ended: nothing is accepted, read or closed until this
 * one has a keeper of its own and is the owner. */
static int open_taken(struct daemon *d)
{
	struct usher *u = &d->u;

	d->began = loop_us();
	if (action_revive(u, d->conf) < 0 || control_begin(u) < 0)
		return 1;
	revive_leaving(u);
	revive_records(u, control_adopt, &d->revived);
	record_globals()->clean = 0;	/* bytes move from now on */
	FAULT("revived");
	keep(d);
	upgrade_ready(u);
	manager_ready();
	FAULT("taken-ready");
	action_resume_all(u);
	FAULT("taken-resumed");
	revive_strays(u, &d->revived);
	revive_later(taken, d);
	if (!d->conf_differs)
		listener_inherited_close();
	if (d->conf->pid_file)
		write_pid_file(d, d->conf->pid_file);
	task_set(u->loop, &d->dismiss, dismiss, NULL);
	d->attended = loop_us();
	return 0;
}

void house_close(struct daemon *d)
{
	struct usher *u = &d->u;

	if (u->loop) {
		revive_rest();
		action_abandon(u);	/* normally all have gone */
		output_close_all(u);
		if (!u->control && d->how == BEGIN_COLD)
			control_unlock(&d->conf->control);
		control_close(u);
		keeper_stop();
		fdstore_forget();
		resolve_close(&u->resolver);
		offload_close();
		loop_close(&u->loop);
		free(u->by_slot);
		free(u->notice);
		conf_unref(&u->conf);
		record_shutdown();
	}
	if (d->pid_written)
		unlink(d->conf->pid_file);
	conf_unref(&d->conf);
	free(d->control);
	log_close();
}

int house_begin(struct daemon *d)
{
	/* Not while nobody attends the doors. */
	d->unread = d->options->carry;
	if (!d->unread)
		d->status = load(d);
	if (d->status == 0 || d->status == EX_CONFIG)
		d->status = begin(d);
	return d->status ? d->status : open_ground(d);
}

int house_open(struct daemon *d)
{
	return d->how == BEGIN_COLD ? open_cold(d) : open_taken(d);
}
