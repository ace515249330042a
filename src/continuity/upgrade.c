/*
 * upgrade - another binary goes on in this process; see upgrade.h.
 *
 * The new image stays open as a descriptor from the rehearsal to its end, so
 * what was rehearsed is what is executed; the old one stays open until the
 * new one is confirmed.
 */
#include "continuity/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fd.h"
#include "continuity/begin.h"
#include "continuity/fdstore.h"
#include "continuity/keeper.h"
#include "continuity/made.h"

#define PROBATION_MS 3000
#define REHEARSED    "ok\n"
#define HUNG	     "the new binary hung in the rehearsal"
/* After SIGKILL. */
#define KILLED_MS    5000

extern char **environ;

struct rehearsal {
	struct usher *u;
	uint64_t copied;	/* of the state, to ROLE_COPY */
	int child, answer;	/* RECORD_WATCH: pidfd, pipe */
	char said[160];
	size_t len;
	struct timer copy, limit;
	bool hung;
	struct task over;
	upgrade_done *done;
	void *arg;
};

static struct rehearsal *under_way;
static struct timer probation;

static int other_image(void)
{
	return ROLE_IMAGE0 + !record_globals()->image;
}

void upgrade_result(struct upgrade_result *out)
{
	const struct record_globals *g = record_globals();

	*out = (struct upgrade_result){ under_way ? 1 : g->phase, g->upgrades,
					g->backs, g->result, g->why };
}

static void note(int result, const char *why)
{
	struct record_globals *g = record_globals();

	g->result = result;
	snprintf(g->why, sizeof(g->why), "%s", why);
}

/* ---- the rehearsal ---- */

static void rehearsal_free(struct rehearsal *r)
{
	timer_cancel(r->u->loop, &r->copy);
	timer_cancel(r->u->loop, &r->limit);
	dup2(ROLE_NULL, ROLE_COPY);
	record_close(r->child);
	record_close(r->answer);
	under_way = NULL;
	free(r);
}

static void failed(struct rehearsal *r, int result, const char *why)
{
	upgrade_done *done = r->done;
	void *arg = r->arg;

	dup2(ROLE_NULL, other_image());
	made_drop();
	note(result, why);
	log_error("upgrade: %s; this image serves on", why);
	rehearsal_free(r);
	done(arg, result, why);
}

/* Its end is told by its pidfd; one that SIGKILL does not end is left. */
static void on_late(void *arg)
{
	struct rehearsal *r = arg;

	if (r->hung) {
		failed(r, -ETIMEDOUT, HUNG);
		return;
	}
	r->hung = true;
	child_kill(record_at(r->child)->fd[0], SIGKILL);
	timer_set(r->u->loop, &r->limit, KILLED_MS, on_late, r);
}

/*
 * No event is unserved here: the turn is over. A mask and SIG_IGN survive
 * execve and would disarm the alarm.
 */
static void hand_over(void *arg)
{
	struct rehearsal *r = arg;
	struct record_globals *g = record_globals();
	int64_t ms = r->u->conf->upgrade_timeout;
	struct itimerval limit = { .it_value = { ms / 1000,
						 ms % 1000 * 1000 } };
	struct itimerval off = { 0 };
	sigset_t alarm;
	int error;

	if (r->u->on_handover)
		r->u->on_handover(r->u);
	fdstore_image((int)g->image);
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	sigprocmask(SIG_UNBLOCK, &alarm, NULL);
	signal(SIGALRM, SIG_DFL);
	g->deadline = (uint64_t)(loop_us() / 1000 + ms);
	g->image = !g->image;
	g->upgrades++;
	g->clean = 1;
	g->phase = 1;
	note(-EINPROGRESS, "under way");
	FAULT("upgrade-handed");
	keeper_wake();
	setitimer(ITIMER_REAL, &limit, NULL);
	error = keeper_execute((int)g->image);
	/* Nothing has happened. */
	setitimer(ITIMER_REAL, &off, NULL);
	g->phase = 0;
	g->image = !g->image;
	g->clean = 0;
	fdstore_image_end();
	failed(r, error, "the new binary can't be executed");
}

/* What it said last; false: no more of it is there. */
static bool hear(struct rehearsal *r)
{
	size_t room = sizeof(r->said) - 1 - r->len;
	ssize_t n = read(record_at(r->answer)->fd[0], r->said + r->len, room);

	if (n > 0)
		r->len += (size_t)n;
	else if (n == 0 || errno != EAGAIN)
		loop_unwatch(r->u->loop, r->answer, 0);
	return n > 0;
}

static void on_answer(void *arg, uint32_t events)
{
	(void)events;
	hear(arg);
}

/* Its end may be seen before its words. */
static void rehearsed(struct rehearsal *r)
{
	struct child_exit e;
	char text[320], how[80];

	if (child_reap(record_at(r->child)->fd[0], &e) <= 0)
		return;
	timer_cancel(r->u->loop, &r->limit);
	while (hear(r))
		;
	if (r->hung) {
		failed(r, -ETIMEDOUT, HUNG);
		return;
	}
	if (e.known && !e.signaled && e.status == 0 &&
	    strncmp(r->said, REHEARSED, strlen(REHEARSED)) == 0) {
		task_set_last(r->u->loop, &r->over, hand_over, r);
		return;
	}
	r->said[strcspn(r->said, "\n")] = 0;
	snprintf(text, sizeof(text), "the new binary %s in the rehearsal%s%s",
		 child_exit_text(&e, how, sizeof(how)),
		 r->said[0] ? ": " : "", r->said);
	failed(r, -ENOEXEC, text);
}

static void on_child(void *arg, uint32_t events)
{
	(void)events;
	rehearsed(arg);
}

static int watch(struct usher *u, int fd, loop_fn *fn, void *arg)
{
	int record = record_new(RECORD_WATCH, RECORD_NOBODY, 0);

	if (record < 0)
		return record;
	record_set_fd(record, 0, fd);
	record_commit(record);
	loop_watch(u->loop, record, 0, EPOLLIN, fn, arg);
	return record;
}

static int start_child(struct rehearsal *r, char **why)
{
	char *argv[] = { (char *)"usher", (char *)"serve",
			 (char *)"--rehearse", NULL };
	int ends[2], pidfd = -1, error;
	struct child_error e;
	struct child_spec spec = {
		.by_fd = true,
		.argv = argv,
		.envp = environ,
		.pid_env = -1,
		.nfds = 4,
		.umask = -1,
		.oom_score_adjust = CHILD_OOM_KEEP,
	};
	uint64_t id;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	error = record_role(ends[1], ROLE_ANSWER);
	if (error < 0) {
		close(ends[0]);
		return error;
	}
	/* Only roles: a child has a table up to the highest that is named, and
	 * usher waits until it is copied. */
	spec.fds = (struct child_fd[]){ { ROLE_ANSWER, 1 },
					{ ROLE_COPY, ROLE_STATE },
					{ ROLE_MADE, ROLE_MADE },
					{ other_image(), CHILD_EXEC_FD } };
	pid = child_start(&spec, &pidfd, &id, &e);
	dup2(ROLE_NULL, ROLE_ANSWER);
	if (pid < 0) {
		close(ends[0]);
		*why = xasprintf("the new binary can't be executed: %s: %s",
				 e.step, strerror(e.error));
		return pid;
	}
	r->answer = watch(r->u, ends[0], on_answer, r);
	r->child = r->answer < 0 ? r->answer
				 : watch(r->u, pidfd, on_child, r);
	if (r->child < 0) {
		*why = xasprintf("no record is free for the rehearsal");
		child_kill(pidfd, SIGKILL);
		waitid(P_PIDFD, (id_t)pidfd, NULL, WEXITED);
		close(pidfd);
		if (r->answer < 0)
			close(ends[0]);
		return r->child;
	}
	record_at(r->child)->id = (uint64_t)pid;
	return 0;
}

static void copy(void *arg)
{
	struct rehearsal *r = arg;
	CLEANUP(freep) char *why = NULL;
	int res = record_copy_more(ROLE_COPY, &r->copied);

	if (res > 0) {
		timer_set(r->u->loop, &r->copy, 0, copy, r);
		return;
	}
	if (res == 0)
		res = start_child(r, &why);
	dup2(ROLE_NULL, ROLE_COPY);
	if (res < 0)
		failed(r, -ENOEXEC, why ?: strerror(-res));
	else
		timer_set(r->u->loop, &r->limit, r->u->conf->upgrade_timeout,
			  on_late, r);
}

/* The path that this process came from, also when that was replaced. */
static char *own_path(void)
{
	static const char gone[] = " (deleted)";
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n < 0)
		return NULL;
	path[n] = 0;
	if ((size_t)n > sizeof(gone) &&
	    strcmp(path + n - (sizeof(gone) - 1), gone) == 0)
		path[(size_t)n - (sizeof(gone) - 1)] = 0;
	return xstrdup(path);
}

static int open_image(const char *file, char **why)
{
	CLEANUP(freep) char *own = file ? NULL : own_path();
	const char *path = file ?: own;
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	int r;

	if (fd < 0) {
		r = -errno;
		*why = xasprintf("%s: %s", path ?: "own binary",
				 strerror(errno));
		return r;
	}
	return record_role(fd, other_image());
}

int upgrade_start(struct usher *u, const char *file, char **why,
		  upgrade_done *done, void *arg)
{
	struct rehearsal *r;
	int res;

	*why = NULL;
	if (under_way || record_globals()->phase)
		return -EBUSY;
	res = open_image(file, why);
	if (res < 0)
		return res;
	res = record_copy_begin();
	if (res >= 0)
		res = record_role(res, ROLE_COPY);
	if (res < 0) {
		dup2(ROLE_NULL, other_image());
		return res;
	}
	res = made_open();
	if (res < 0)
		log_warning("upgrade: the new image reads the configuration "
			    "itself, which takes longer: %s", strerror(-res));
	r = xcalloc(1, sizeof(*r));
	*r = (struct rehearsal){ .u = u, .child = -1, .answer = -1,
				 .done = done, .arg = arg };
	under_way = r;
	timer_set(u->loop, &r->copy, 0, copy, r);
	return 0;
}

int upgrade_rehearse(void)
{
	struct conf_report report = { 0 };
	struct conf *c = NULL;
	const char *why;

	if (record_adopt(&why) < 0) {
		printf("it can't read the state: %s\n", why);
		return 1;
	}
	FAULT("rehearse");
	if (begin_recall(&c, &report) < 0) {
		printf("it refuses the configuration: %s\n",
		       report.errors.n ? report.errors.v[0] : "unreadable");
		conf_report_free(&report);
		return 1;
	}
	conf_report_free(&report);
	made_fill(c);
	conf_unref(&c);
	fputs(REHEARSED, stdout);
	return 0;
}

/* ---- in the new image ---- */

static void confirmed(void *arg)
{
	(void)arg;
	record_globals()->phase = 0;
	record_settle();
	note(0, "the new image serves");
	dup2(ROLE_NULL, other_image());
	made_drop();
	fdstore_image_end();
	log_notice("upgrade: confirmed");
}

void upgrade_ready(struct usher *u)
{
	struct itimerval off = { 0 };

	if (record_globals()->phase != 1)
		return;
	record_globals()->phase = 2;
	setitimer(ITIMER_REAL, &off, NULL);
	timer_set(u->loop, &probation, PROBATION_MS, confirmed, NULL);
	FAULT("upgrade-ready");
}

static void step_back(const char *why)
{
	struct record_globals *g = record_globals();

	g->image = !g->image;
	g->phase = 0;
	g->backs++;
	note(-ECHILD, why);
}

void upgrade_go_back(const char *why)
{
	if (!record_globals() || record_globals()->phase == 0)
		return;
	step_back(why);
	log_error("upgrade: %s; the old image goes on", why);
	keeper_execute((int)record_globals()->image);
}

void upgrade_check_store(char **argv)
{
	const char *pid = getenv("LISTEN_PID");
	CLEANUP(freep) char *names = xstrdup(getenv("LISTEN_FDNAMES") ?: "");
	char *rest = names;
	int image = -1, state = -1;

	if (!pid || atoi(pid) != getpid())
		return;
	for (int fd = 3; rest; fd++) {
		char *name = strsep(&rest, ":");

		if (strcmp(name, "usher-image") == 0)
			image = fd;
		else if (strcmp(name, "usher-state") == 0)
			state = fd;
	}
	if (image < 0 || state < 0 || !record_step_back(state))
		return;
	syscall(SYS_execveat, image, "", argv, environ, AT_EMPTY_PATH);
}
