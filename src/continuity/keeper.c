/*
 * keeper - a child that shares usher's descriptor table; see keeper.h.
 *
 * What runs in the child allocates nothing and takes no lock: another thread
 * may have held one when it was made.
 */
#include "continuity/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/offload.h"

#define WORDS_MAX   64
#define MARGIN      4096	/* accepted, not yet in a record */
#define REAP_MS     1000	/* no thread could be made */
#define KILL_AFTER  300		/* ms after an upgrade's own alarm */

extern char **environ;

static struct {
	struct usher *u;
	enum conf_keeper mode;
	char *path;
	int record;		/* RECORD_WATCH with the keeper's pidfd */
	char *words[WORDS_MAX];
	uint32_t me;		/* as the state's owner */
	struct timer reap;
} kp = { .record = -1 };

/* ---- in the keeper ---- */

static void nothing(int signo)
{
	(void)signo;
}

static int highest(void)
{
	int top = RECORD_LOW;

	for (int i = -1; (i = record_next(RECORD_NONE, i)) >= 0;)
		for (int k = 0; k < RECORD_FDS; k++)
			if (record_at(i)->fd[k] > top)
				top = record_at(i)->fd[k];
	return top + MARGIN;
}

/* All that is carried: what has no close-on-exec flag, in order. */
static void give_all(int sock, uint64_t id)
{
	static struct keeper_message m;
	int top = highest(), n = 0;

	m.id = id;
	for (int fd = ROLE_STATE; fd <= top; fd++) {
		if (fcntl(fd, F_GETFD) == 0)
			m.number[n++] = fd;
		if (n == KEEPER_BATCH || (fd == top && n)) {
			while (fd_send(sock, &m, sizeof(id) +
				       (size_t)n * sizeof(int32_t),
				       m.number, n, 0) == -EAGAIN)
				poll(&(struct pollfd){ sock, POLLOUT, 0 }, 1,
				     1000);
			n = 0;
		}
	}
	fd_send(sock, &id, sizeof(id), NULL, 0, 0);
}

/* Answers on SOCK; false: its other end is gone. */
static bool answer(int sock)
{
	uint64_t id;
	ssize_t n = recv(sock, &id, sizeof(id), MSG_DONTWAIT);

	if (n == 0)
		return false;
	if (n == sizeof(id))
		give_all(sock, id);
	return n > 0 || errno == EAGAIN;
}

/* What a service manager owns it makes blocking anew when it starts the next
 * usher, whatever the workers that accept there have made of it. */
static void note_doors(void)
{
	for (int i = -1; (i = record_next(RECORD_DOOR, i)) >= 0;) {
		int flags = fcntl(record_at(i)->fd[0], F_GETFL);

		RECORD_AS(i, struct door_data)->noted =
			flags & O_NONBLOCK ? NOTED_NONBLOCK : NOTED_BLOCKS;
	}
}

/* A pidfd is born with close-on-exec. Usher was killed before it took the flag
 * away: the process has started, and its record says so. */
static void carry_started(void)
{
	for (int i = -1; (i = record_next(RECORD_WORKER, i)) >= 0;) {
		int fd = record_at(i)->fd[0];

		if (fd >= RECORD_LOW && fcntl(fd, F_GETFD) > 0)
			fcntl(fd, F_SETFD, 0);
	}
}

/* A supervisor starts the next usher, which asks: on the channel that is in
 * systemd's store, or at the socket beside the control socket. */
static void wait_for_next(uint32_t me)
{
	int conn = -1;

	for (;;) {
		struct pollfd p[3] = { { ROLE_CHANNEL, POLLIN, 0 },
				       { ROLE_ASK, POLLIN, 0 },
				       { conn, POLLIN, 0 } };
		bool manager = record_globals()->stored;
		int r;

		if (!manager)
			p[0].fd = -1;
		r = poll(p, 3, KEEPER_PATIENCE_MS);
		if (atomic_load(&record_globals()->owner) != me)
			_exit(0);	/* somebody owns now */
		if (r == 0 && !manager)
			_exit(0);
		if (manager && p[0].revents && !answer(ROLE_CHANNEL))
			_exit(0);	/* the unit was stopped */
		if (p[1].revents & POLLIN) {
			fd_closep(&conn);
			conn = accept4(ROLE_ASK, NULL, NULL, SOCK_CLOEXEC);
		}
		if (p[2].revents && !answer(conn))
			fd_closep(&conn);
	}
}

int keeper_execute(int image)
{
	syscall(SYS_execveat, ROLE_IMAGE0 + image, "", kp.words, environ,
		AT_EMPTY_PATH);
	return -errno;
}

/* The next usher, with the same numbers: execve gives it a table of its own,
 * and this keeper stays until that one has a keeper. */
static int respawn(void)
{
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0,
				   0);

	if (pid == 0) {
		signal(SIGTERM, SIG_DFL);
		signal(SIGINT, SIG_DFL);
		signal(SIGHUP, SIG_DFL);
		signal(SIGUSR1, SIG_DFL);
		keeper_execute((int)record_globals()->image);
		_exit(127);
	}
	return pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
}

/* An unconfirmed image ended: the old one has the state again. */
static bool step_back(void)
{
	struct record_globals *g = record_globals();

	if (!g->phase)
		return false;
	snprintf(g->why, sizeof(g->why), "the new image %s; the old one "
		 "goes on", g->phase == 1 ? "ended before it was ready"
					  : "ended before it was settled");
	g->image = !g->image;
	g->phase = 0;
	g->result = -ECHILD;
	g->backs++;
	/* Under a service manager the next one comes from there, and finds
	 * the old image in the store. */
	return !g->stored;
}

/* Waits for the end of MASTER; past an upgrade's deadline it is killed. */
static void wait_for_end(int master)
{
	struct record_globals *g = record_globals();

	for (;;) {
		struct pollfd p = { master, POLLIN, 0 };
		int64_t left = (int64_t)g->deadline + KILL_AFTER -
			       loop_us() / 1000;
		int r = poll(&p, 1, g->phase != 1 ? -1
				  : left > 0 ? (int)left : 0);

		if (r > 0)
			return;
		if (r == 0 && g->phase == 1 &&
		    (int64_t)g->deadline + KILL_AFTER <= loop_us() / 1000)
			syscall(SYS_pidfd_send_signal, master, SIGKILL, NULL,
				0);
	}
}

/* What dies at once again and again, or crashed often, is given time. */
static void wait_a_little(int failures)
{
	uint32_t n = (uint32_t)failures + record_globals()->self_crashes;

	if (n > 1)
		poll(NULL, 0, n > 8 ? 10000 : 100 * (int)n);
}

/* Its end, with a table of thousands, takes milliseconds: they are not to be
 * taken from the usher that has just dismissed it. What it starts is as
 * usual. */
static void stand_back(void)
{
	struct sched_param none = { 0 };

	sched_setscheduler(0, SCHED_BATCH | SCHED_RESET_ON_FORK, &none);
}

static void keeper_main(uint32_t me, int master)
{
	struct record_globals *g = record_globals();
	struct sigaction wake = { .sa_handler = nothing };
	int failures = 0;
	bool back;
	sigset_t none;

	prctl(PR_SET_NAME, "usher-keeper");
	if (sched_getscheduler(0) == SCHED_OTHER)
		stand_back();
	sigaction(SIGUSR1, &wake, NULL);	/* interrupts poll */
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (;;) {
		wait_for_end(master);
		if (atomic_load(&g->owner) != me)
			_exit(0);	/* the one that owns acts */
		back = step_back();
		g->crashes++;
		carry_started();
		if (g->keeper != KEEPER_RESPAWN && !back) {
			note_doors();
			wait_for_next(me);
		}
		close(master);
		wait_a_little(failures++);
		master = respawn();
		if (master < 0)
			_exit(1);
		fcntl(master, F_SETFD, FD_CLOEXEC);
	}
}

/* ---- in usher ---- */

char *keeper_path(const char *control)
{
	return xasprintf("%s.keeper", control);
}

/* What came along is bound there already. To bind anew would leave the keeper
 * that owns without its door, should we die before we own. */
static bool is_ask(const char *path)
{
	struct sockaddr_un sa = { 0 };
	socklen_t len = sizeof(sa) - 1;
	struct stat sb;

	return getsockname(ROLE_ASK, (void *)&sa, &len) == 0 &&
	       sa.sun_family == AF_UNIX && strcmp(sa.sun_path, path) == 0 &&
	       lstat(path, &sb) == 0 && S_ISSOCK(sb.st_mode);
}

static int open_ask(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd, r = 0;

	if (strlen(path) >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	if (is_ask(path))
		return 0;
	strcpy(sa.sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	unlink(path);		/* ours: the lock beside it is held */
	if (bind(fd, (void *)&sa, sizeof(sa)) < 0 || chmod(path, 0600) < 0 ||
	    listen(fd, 8) < 0)
		r = -errno;
	if (r < 0) {
		close(fd);
		return r;
	}
	return record_role(fd, ROLE_ASK);
}

static void on_keeper_end(void *arg, uint32_t events);

/* One table for both: grown to its full size first, since a shared one that
 * grows waits for RCU (11 to 23 ms were seen). */
static int clone_keeper(void)
{
	int role = ROLE_KEEPER0 + (int)(kp.me & 1);
	int self, top, fd, r;
	pid_t pid;

	top = fcntl(ROLE_NULL, F_DUPFD_CLOEXEC, (int)record_max() - 1);
	if (top >= 0)
		close(top);
	self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (self < 0)
		return -errno;
	pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		keeper_main(kp.me, self);
	if (pid < 0)
		return -errno;
	record_globals()->keeper_pid = (uint32_t)pid;
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return -errno;
	r = record_role(fd, role);
	if (r < 0)
		return r;
	kp.record = record_new(RECORD_WATCH, RECORD_NOBODY, 0);
	if (kp.record < 0)
		return kp.record;
	record_set_fd(kp.record, 0, role);
	record_at(kp.record)->id = (uint64_t)pid;
	record_commit(kp.record);
	return loop_watch(kp.u->loop, kp.record, 0, EPOLLIN, on_keeper_end,
			  NULL);
}

static void on_keeper_end(void *arg, uint32_t events)
{
	siginfo_t si = { 0 };
	int r;

	(void)arg;
	(void)events;
	waitid(P_PIDFD, (id_t)record_at(kp.record)->fd[0], &si,
	       WEXITED | WNOHANG);
	loop_unwatch(kp.u->loop, kp.record, 0);
	record_close(kp.record);
	log_warning("the keeper (pid %u) ended; starting another",
		    record_globals()->keeper_pid);
	r = clone_keeper();
	if (r < 0)
		log_error("no keeper: %s; kill -9 would lose what is open",
			  strerror(-r));
}

void keeper_remember(char *const *argv)
{
	int n = 0;

	kp.words[n++] = xstrdup("usher");
	for (; *argv && n < WORDS_MAX - 2; argv++)
		if (strcmp(*argv, "--carry"))
			kp.words[n++] = xstrdup(*argv);
	kp.words[n] = xstrdup("--carry");
}

/* An old keeper's table holds every close back until it is gone. */
static void kill_old(int role)
{
	epoll_ctl(ROLE_EPOLL, EPOLL_CTL_DEL, role, NULL);
	syscall(SYS_pidfd_send_signal, role, SIGKILL, NULL, 0);
}

int keeper_start(struct usher *u, enum conf_keeper mode, const char *control)
{
	struct record_globals *g = record_globals();
	int r = 0;

	kp.u = u;
	kp.mode = mode;
	/* Not where the owner's is: a generation that died before it had one
	 * has left that one in office. */
	kp.me = g->generation << 1 | !(atomic_load(&g->owner) & 1);
	g->keeper = mode;
	/* Who took over from the one at our place died before it had dismissed
	 * it: nobody else knows of it. */
	kill_old(ROLE_KEEPER0 + (int)(kp.me & 1));
	if (mode == KEEPER_NO)
		return 0;
	if (control && *control == '/') {
		free(kp.path);
		kp.path = keeper_path(control);
		r = open_ask(kp.path);
		if (r < 0)
			log_warning("%s: %s; without a service manager the "
				    "next usher can't take over", kp.path,
				    strerror(-r));
	}
	r = clone_keeper();
	if (r == 0)
		atomic_store(&g->owner, kp.me);
	return r;
}

void keeper_wake(void)
{
	if (kp.record >= 0)
		child_kill(record_at(kp.record)->fd[0], SIGUSR1);
}

/* Where the pidfd of the one before ours is. */
static int old_role(void)
{
	return ROLE_KEEPER0 + !(kp.me & 1);
}

/* In a thread. */
static void wait_for_old(void *arg)
{
	siginfo_t si;

	while (waitid(P_PIDFD, (id_t)(intptr_t)arg, &si, WEXITED) < 0 &&
	       errno == EINTR)
		;
}

static void reaped(void *arg)
{
	dup2(ROLE_NULL, (int)(intptr_t)arg);
}

/* Killed, it takes some time to let its table go. And who reaps it lets go
 * what /proc remembers of its descriptors, if somebody has looked at them:
 * 20 ms for 18,000. Nobody in the loop waits for that. */
static void reap_old(void *arg)
{
	if (offload(wait_for_old, reaped, arg) < 0)
		timer_set(kp.u->loop, &kp.reap, REAP_MS, reap_old, arg);
}

void keeper_dismiss_old(void)
{
	int role = old_role();

	kill_old(role);
	reap_old((void *)(intptr_t)role);
}

void keeper_stop(void)
{
	siginfo_t si;

	for (int i = 0; i < WORDS_MAX; i++)
		free(TAKE(kp.words[i]));
	if (kp.record < 0)
		return;
	timer_cancel(kp.u->loop, &kp.reap);
	loop_unwatch(kp.u->loop, kp.record, 0);
	child_kill(record_at(kp.record)->fd[0], SIGKILL);
	waitid(P_PIDFD, (id_t)record_at(kp.record)->fd[0], &si, WEXITED);
	record_close(kp.record);
	kp.record = -1;
	if (kp.path)
		unlink(kp.path);
	free(TAKE(kp.path));
}
