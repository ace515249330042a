/*
 * child - the one place where a process starts; see child.h.
 *
 * From clone to exec the child runs in our memory while we stand still. It
 * must not touch what the C library keeps for threads, and not return: only
 * raw system calls, and stores into struct start. All signals are blocked in
 * us meanwhile, so no handler can run on the shared memory.
 */
#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fd.h"
#include "base/loop.h"
#include "base/record.h"

#define STACK_SIZE (256 * 1024)

#if defined(__clang__) || defined(__GNUC__)
#define NO_SANITIZE __attribute__((no_sanitize("address", "undefined")))
#else
#define NO_SANITIZE
#endif

/* The kernel's struct sigaction, for the raw call. */
struct kernel_sigaction {
	void *handler;
	unsigned long flags;
	void *restorer;
	uint64_t mask;
};

struct start {
	const struct child_spec *spec;
	struct child_fd *fds;		/* a copy, sorted by from */
	int nfds;
	int top;			/* the highest named */
	int above;			/* the first above all targets */
	struct child_error err;
};

static struct {
	int64_t blocked_us;
	bool has_nofile;
	struct rlimit nofile;
	char *stack;
	bool ignored[_NSIG];
	bool looked;
	bool oom_stays;
} ch;

int64_t child_blocked_us(void)
{
	return ch.blocked_us;
}

void child_default_nofile(const struct rlimit *r)
{
	ch.has_nofile = true;
	ch.nofile = *r;
}

/* ---- in the child ---- */

NO_SANITIZE static int failed(struct start *s, const char *step, int error)
{
	s->err.step = step;
	s->err.error = error;
	return -1;
}

NO_SANITIZE static int check(struct start *s, const char *step, long result)
{
	return result < 0 ? failed(s, step, errno) : 0;
}

/* Dispositions that would survive exec go back to the default. */
NO_SANITIZE static void default_signals(void)
{
	struct kernel_sigaction dfl = { 0 };
	uint64_t none = 0;

	for (int n = 1; n < _NSIG; n++)
		if (ch.ignored[n])
			syscall(SYS_rt_sigaction, n, &dfl, NULL, 8);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, 8);
}

/* Where nothing is named that is itself a target, or below one: each goes
 * where it belongs, and all else at exec. */
NO_SANITIZE static bool is_direct(const struct start *s)
{
	bool std[3] = { false, false, false };

	for (int i = 0; i < s->nfds; i++) {
		if (s->fds[i].from < s->above)
			return false;
		if (s->fds[i].to < 3)
			std[s->fds[i].to] = true;
	}
	return std[0] && std[1] && std[2];
}

/*
 * Closes what lies between the named ones (the table may have been full) and
 * moves them up out of the targets' way.
 */
NO_SANITIZE static int make_way(struct start *s)
{
	int at = 0;

	for (int i = 0; i < s->nfds; i++) {
		if (s->fds[i].from > at)
			syscall(SYS_close_range, at, s->fds[i].from - 1, 0);
		at = s->fds[i].from + 1;
	}
	if (s->nfds == 0)
		syscall(SYS_close_range, 0, s->top, 0);
	for (int i = 0; i < s->nfds; i++) {
		int fd = (int)syscall(SYS_fcntl, s->fds[i].from,
				      F_DUPFD_CLOEXEC, s->above);

		if (fd < 0)
			return failed(s, "dup", errno);
		s->fds[i].from = fd;
	}
	return 0;
}

/* 0, 1 and 2 that nobody named. */
NO_SANITIZE static int fill_null(struct start *s, const bool have[3])
{
	int null = -1;

	for (int fd = 0; fd < 3; fd++) {
		if (have[fd])
			continue;
		if (null < 0)
			null = (int)syscall(SYS_openat, AT_FDCWD, "/dev/null",
					    O_RDWR | O_CLOEXEC);
		if (null < 0)
			return failed(s, "open /dev/null", errno);
		if (null == fd)
			syscall(SYS_fcntl, fd, F_SETFD, 0);
		else if (syscall(SYS_dup3, null, fd, 0) < 0)
			return failed(s, "dup", errno);
		if (null < 3)
			null = -1;	/* is one of the three now */
	}
	return 0;
}

/*
 * Takes a table of its own that ends with the highest number named, and moves
 * the named ones to where they belong.
 */
NO_SANITIZE static int arrange_fds(struct start *s)
{
	bool have[3] = { false, false, false };

	if (syscall(SYS_close_range, s->top + 1, ~0u, CLOSE_RANGE_UNSHARE) < 0)
		return failed(s, "close_range", errno);
	if (!is_direct(s) && make_way(s) < 0)
		return -1;
	for (int i = 0; i < s->nfds; i++) {
		if (syscall(SYS_dup3, s->fds[i].from, s->fds[i].to, 0) < 0)
			return failed(s, "dup", errno);
		if (s->fds[i].to < 3)
			have[s->fds[i].to] = true;
	}
	return fill_null(s, have);
}

/* Descriptors that are no target have close-on-exec, or are what lay between
 * the named ones and the targets: they go here. */
NO_SANITIZE static void close_rest(const struct start *s)
{
	for (int fd = 3; fd < s->above; fd++) {
		bool named = false;

		for (int i = 0; i < s->nfds; i++)
			named |= s->fds[i].to == fd;
		if (!named)
			syscall(SYS_close, fd);
	}
	syscall(SYS_close_range, s->above, ~0u, CLOSE_RANGE_CLOEXEC);
}

NO_SANITIZE static int write_oom(int value)
{
	char text[16];
	int n = 0, v = value < 0 ? -value : value, fd, r = 0;
	char digits[8];

	if (value < 0)
		text[n++] = '-';
	for (int k = 0;; ) {
		digits[k++] = (char)('0' + v % 10);
		v /= 10;
		if (v)
			continue;
		while (k > 0)
			text[n++] = digits[--k];
		break;
	}
	fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/oom_score_adj",
			  O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (syscall(SYS_write, fd, text, n) < 0)
		r = -1;
	syscall(SYS_close, fd);
	return r;
}

NO_SANITIZE static int set_limits(struct start *s)
{
	const struct child_spec *c = s->spec;
	bool nofile = false;

	for (int i = 0; i < c->nlimits; i++) {
		nofile |= c->limits[i].resource == RLIMIT_NOFILE;
		if (syscall(SYS_prlimit64, 0, c->limits[i].resource,
			    &c->limits[i].value, NULL) < 0)
			return failed(s, "setrlimit", errno);
	}
	if (!nofile && ch.has_nofile &&
	    syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &ch.nofile, NULL) < 0)
		return failed(s, "setrlimit", errno);
	return 0;
}

/* In the order in which each is still allowed; then looks that there is no
 * way back. */
NO_SANITIZE static int become(struct start *s)
{
	const struct child_identity *id = s->spec->identity;

	if (s->spec->root &&
	    (check(s, "chroot", syscall(SYS_chroot, s->spec->root)) < 0 ||
	     check(s, "chdir /", syscall(SYS_chdir, "/")) < 0))
		return -1;
	if (id && id->set_user) {
		if (check(s, "setgroups", syscall(SYS_setgroups, id->ngroups,
						  id->groups)) < 0 ||
		    check(s, "setgid", syscall(SYS_setresgid, id->gid,
					       id->gid, id->gid)) < 0 ||
		    check(s, "setuid", syscall(SYS_setresuid, id->uid,
					       id->uid, id->uid)) < 0)
			return -1;
		if (id->uid != 0 &&
		    syscall(SYS_setresuid, -1, 0, -1) == 0)
			return failed(s, "setuid (root came back)", EPERM);
	}
	if (s->spec->directory &&
	    check(s, "chdir", syscall(SYS_chdir, s->spec->directory)) < 0)
		return -1;
	if (id && id->no_new_privs &&
	    check(s, "no_new_privs", syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS,
					     1, 0, 0, 0)) < 0)
		return -1;
	return 0;
}

NO_SANITIZE static void write_pid(const struct child_spec *c)
{
	char digits[12];
	char *p;
	int n = 0;
	long pid = syscall(SYS_getpid);

	if (c->pid_env < 0)
		return;
	for (p = c->envp[c->pid_env]; *p != '='; p++)
		;
	for (; pid; pid /= 10)
		digits[n++] = (char)('0' + pid % 10);
	while (n > 0)
		*++p = digits[--n];
	*++p = 0;
}

NO_SANITIZE static int child_main(void *arg)
{
	struct start *s = arg;
	const struct child_spec *c = s->spec;

	if (c->session)
		syscall(SYS_setsid);
	default_signals();
	if (arrange_fds(s) < 0)
		goto fail;
	if (c->nice &&
	    check(s, "nice", syscall(SYS_setpriority, PRIO_PROCESS, 0,
				     c->nice)) < 0)
		goto fail;
	if (c->oom_score_adjust > CHILD_OOM_KEEP &&
	    check(s, "oom_score_adj", write_oom(c->oom_score_adjust)) < 0)
		goto fail;
	if (set_limits(s) < 0)
		goto fail;
	if (c->umask >= 0)
		syscall(SYS_umask, c->umask);
	if (become(s) < 0)
		goto fail;
	write_pid(c);
	close_rest(s);
	if (c->by_fd) {
		syscall(SYS_fcntl, CHILD_EXEC_FD, F_SETFD, FD_CLOEXEC);
		syscall(SYS_execveat, CHILD_EXEC_FD, "", c->argv, c->envp,
			AT_EMPTY_PATH);
	} else {
		syscall(SYS_execve, c->program, c->argv, c->envp);
	}
	failed(s, "exec", errno);
fail:
	syscall(SYS_exit_group, 127);
	__builtin_unreachable();
}

/* ---- in the parent ---- */

static int by_from(const void *a, const void *b)
{
	return ((const struct child_fd *)a)->from -
	       ((const struct child_fd *)b)->from;
}

static void look_at_signals(void)
{
	for (int n = 1; n < _NSIG && !ch.looked; n++) {
		struct sigaction sa;

		ch.ignored[n] = sigaction(n, NULL, &sa) == 0 &&
				sa.sa_handler == SIG_IGN;
	}
	ch.ignored[SIGPIPE] = true;
	ch.looked = true;
}

static int get_stack(struct child_error *err)
{
	void *p;

	if (ch.stack)
		return 0;
	p = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (p == MAP_FAILED) {
		*err = (struct child_error){ "mmap", errno };
		return -errno;
	}
	ch.stack = p;
	return 0;
}

/* The pidfd to a number that no role has, without close-on-exec. */
static int raise_pidfd(int fd)
{
	int up;

	if (fd >= RECORD_LOW) {
		fcntl(fd, F_SETFD, 0);
		return fd;
	}
	up = fcntl(fd, F_DUPFD, RECORD_LOW);
	if (up < 0)
		return fd;
	close(fd);
	return up;
}

/*
 * A child gets our value as it is at the clone, so ours stands higher for that
 * moment, and no child opens a file of its own. Going back to where we were is
 * always allowed. The descriptor, or -1: it can't be done here (no /proc,
 * or not ours since the process is not dumpable and not root's).
 */
static int raise_oom(int *own)
{
	char text[16];
	int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	int higher;

	if (n <= 0) {
		fd_closep(&fd);
		return -1;
	}
	text[n] = 0;
	*own = atoi(text);
	higher = *own + CHILD_OOM_STEP < 1000 ? *own + CHILD_OOM_STEP : 1000;
	n = snprintf(text, sizeof(text), "%d", higher);
	if (pwrite(fd, text, (size_t)n, 0) < 0)
		fd_closep(&fd);
	return fd;
}

static void lower_oom(int fd, int own)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d", own);

	if (pwrite(fd, text, (size_t)n, 0) < 0)
		ch.oom_stays = true;	/* never again higher */
	close(fd);
}

/* The half of N in which the kernel can write a pid. */
static pid_t *low_half(uint64_t *n)
{
	return (pid_t *)(void *)n + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
}

static pid_t start(struct start *s, int *pidfd, uint64_t *at)
{
	int flags = CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_PIDFD |
		    CLONE_CHILD_SETTID | SIGCHLD;
	int64_t began = loop_us();
	sigset_t all, old;
	pid_t pid;
	int own = 0, oom = -1;

	if (s->spec->oom_score_adjust == CHILD_OOM_ABOVE && !ch.oom_stays)
		oom = raise_oom(&own);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	pid = clone(child_main, ch.stack + STACK_SIZE, flags, s, pidfd, NULL,
		    low_half(at));
	if (pid < 0)
		s->err = (struct child_error){ "fork", errno };
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (oom >= 0)
		lower_oom(oom, own);
	ch.blocked_us += loop_us() - began;
#ifdef USHER_DEBUG
	/* A child that changed its user took this away from our memory. */
	prctl(PR_SET_DUMPABLE, 1);
#endif
	return pid;
}

pid_t child_start(const struct child_spec *spec, int *pidfd, uint64_t *at,
		  struct child_error *err)
{
	struct child_fd fds[CHILD_FDS];
	struct start s = { .spec = spec, .fds = fds, .nfds = spec->nfds };
	pid_t pid;
	int fd;

	*pidfd = -1;
	*at = 0;
	*err = (struct child_error){ 0 };
	if (spec->nfds > CHILD_FDS) {
		*err = (struct child_error){ "descriptors", E2BIG };
		return -E2BIG;
	}
	memcpy(fds, spec->fds, sizeof(*fds) * (size_t)spec->nfds);
	qsort(fds, (size_t)spec->nfds, sizeof(*fds), by_from);
	s.top = spec->nfds ? fds[spec->nfds - 1].from : 2;
	if (s.top < 2)
		s.top = 2;
	s.above = 3;
	for (int i = 0; i < s.nfds; i++)
		if (fds[i].to >= s.above)
			s.above = fds[i].to + 1;
	look_at_signals();
	if (get_stack(err) < 0)
		return -err->error;
	pid = start(&s, pidfd, at);
	FAULT("child-started");
	*err = s.err;
	if (s.err.step) {	/* it left before exec: reap it */
		siginfo_t si;

		fd = *pidfd;
		*pidfd = -1;
		if (pid >= 0) {
			waitid(P_PID, (id_t)pid, &si, WEXITED);
			close(fd);
		}
		return -s.err.error;
	}
	*pidfd = raise_pidfd(*pidfd);
	return pid;
}
