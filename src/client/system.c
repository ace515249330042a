/*
 * system - usher shutdown: told, and waited for.
 *
 * Under systemd who ends the main process by himself gets a new one: systemd
 * is asked to stop the unit, whose ExecStop= and ExecStopPost= are
 * `usher shutdown --unless-restart` again.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/net.h"
#include "base/text.h"
#include "client/sysunit.h"
#include "client/words.h"

/* What a stopped unit left is killed after so long. */
#define SWEEP_MS 5000

static int stopped(const struct ask *a, json_t *reply)
{
	json_put_text(reply, "result", "stopped");
	if (!ask_json(a, reply))
		puts("stopped: doors closed, nothing is left");
	return EXIT_DONE;
}

/* ---- by ourselves ---- */

static int pidfd_open_of(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* The daemon's own word: the socket may be one that an usher before it began
 * to listen on. 0: it does not say. */
static pid_t pid_of(struct ask *a)
{
	CLEANUP(json_decrefp) json_t *reply = NULL;

	if (talk_call(&a->talk, "Status", NULL, &reply))
		return 0;
	return (pid_t)json_get_int(reply, "pid", 0);
}

/* The connection ends, and then the process: shutdown is its last word. */
static void wait_end(struct talk *t, int pidfd)
{
	char byte;

	while (net_read(t->fd, &byte, 1, -1) > 0)
		;
	if (pidfd >= 0)
		net_wait(pidfd, POLLIN, -1);
}

static int tell(struct ask *a, json_t **reply)
{
	json_t *p = json_object();

	if (ask_option(a, "now"))
		json_put_bool(p, "now", true);
	return talk_call(&a->talk, "Shutdown", p, reply);
}

static int shut_down(struct ask *a, pid_t pid)
{
	CLEANUP(json_decrefp) json_t *reply = NULL;
	CLEANUP(fd_closep) int pidfd = pid ? pidfd_open_of(pid) : -1;
	int r = tell(a, &reply);

	if (r)
		return r;
	wait_end(&a->talk, pidfd);
	return stopped(a, reply);
}

/* ---- by systemd ---- */

static int stop_unit(struct ask *a, const struct sysunit *u)
{
	CLEANUP(json_decrefp) json_t *reply = json_object();
	CLEANUP(json_decrefp) json_t *answer = NULL;
	CLEANUP(freep) char *why = NULL;
	int r = sysunit_stop(u, &why);

	if (r < 0) {
		talk_complain(&a->talk, "%s: systemd does not stop it: %s; as "
			      "root: systemctl stop %s", u->name, why,
			      u->name);
		return r == -EACCES ? EXIT_REFUSED : EXIT_FAILED;
	}
	a->talk.quiet = true;	/* it may have gone by then */
	if (ask_option(a, "now"))
		tell(a, &answer);
	r = sysunit_wait_stopped(u);
	if (r == 0)
		return stopped(a, reply);
	talk_complain(&a->talk, "%s: %s; systemctl status %s tells more",
		      u->name, r == -EIO ? "it did not stop as it should"
					 : strerror(-r), u->name);
	return EXIT_FAILED;
}

/* ---- as the unit's ExecStop= and ExecStopPost= ---- */

static int drain(struct ask *a, const char *text)
{
	CLEANUP(fd_closep) int pidfd = -1;
	int64_t pid;

	if (text_number(text, 1, INT32_MAX, &pid) < 0)
		return EXIT_DONE;
	pidfd = pidfd_open_of((pid_t)pid);
	if (pidfd < 0)
		return EXIT_DONE;
	if (syscall(SYS_pidfd_send_signal, pidfd, SIGINT, NULL, 0) < 0 &&
	    errno != ESRCH) {
		talk_complain(&a->talk, "pid %s: %s", text, strerror(errno));
		return EXIT_FAILED;
	}
	net_wait(pidfd, POLLIN, -1);
	return EXIT_DONE;
}

/* MAINPID is there while it lives. */
static int obey(struct ask *a, const struct sysunit *u)
{
	const char *main_pid = getenv("MAINPID");
	int job = sysunit_job(u), n;

	if (job < 0) {
		talk_complain(&a->talk, "%s: can't ask systemd whether this "
			      "is a stop or a restart: %s; everything is left "
			      "as it is", u->name, strerror(-job));
		return EXIT_FAILED;
	}
	if (job != SYSUNIT_STOP)
		return EXIT_DONE;
	if (main_pid)
		return drain(a, main_pid);
	n = sysunit_sweep(SWEEP_MS);
	if (n > 0)
		talk_complain(&a->talk, "%s: %d processes that were left are "
			      "ended", u->name, n);
	return EXIT_DONE;
}

int run_shutdown(struct ask *a)
{
	CLEANUP(sysunit_free) struct sysunit u = { 0 };
	pid_t pid;
	int r;

	if (ask_option(a, "unless-restart") && sysunit_of(0, &u) == 0)
		return obey(a, &u);
	r = ask_connect(a);
	if (r)
		return r;
	pid = pid_of(a);
	if (pid && sysunit_of(pid, &u) == 0 && sysunit_is_main(&u, pid) == 1)
		return stop_unit(a, &u);
	return shut_down(a, pid);
}
