/*
 * child - the one place where a process starts.
 *
 * The child shares our memory and our descriptor table until it has its own
 * (clone with CLONE_VM, CLONE_VFORK and CLONE_FILES, then close_range with
 * CLOSE_RANGE_UNSHARE), so that it costs the same from a small and from a
 * large daemon. Between the two only async-signal-safe system calls are made,
 * raw where the C library would speak to threads (setresuid). It closes
 * everything that is not named. What fails is told in full: which step, which
 * errno, without a pipe, since the memory is shared.
 */
#ifndef USHER_BASE_CHILD_H
#define USHER_BASE_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "base/mem.h"

/* FROM (any number of ours) becomes TO in the child. */
struct child_fd {
	int from, to;
};

/* At most so many of them; a Postfix service has one for each endpoint. */
#define CHILD_FDS 128

/* The target that by_fd executes; closed by that. */
#define CHILD_EXEC_FD 9

struct child_limit {
	int resource;		/* RLIMIT_... */
	struct rlimit value;
};

/* Who the child becomes; zeroed: who we are. */
struct child_identity {
	bool set_user;		/* uid, gid, groups hold */
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	size_t ngroups;
	bool no_new_privs;
};

struct child_spec {
	const char *program;	/* absolute path */
	bool by_fd;		/* instead: one of fds goes to CHILD_EXEC_FD
				 * and is executed (execveat) */
	char *const *argv;
	char **envp;		/* "LISTEN_PID=..........", ... */
	/* The index in envp whose value's digits become the child's pid
	 * (written in place, the string needs 11 bytes of room after its =),
	 * or -1. */
	int pid_env;
	const struct child_fd *fds;
	int nfds;		/* 0, 1 and 2 not named: /dev/null */
	const struct child_identity *identity;
	const char *root;	/* chroot, or NULL */
	const char *directory;	/* after the chroot, or NULL */
	int umask;		/* -1: as ours */
	int nice;		/* added; 0: as ours */
	int oom_score_adjust;	/* or one of the two below */
	const struct child_limit *limits;
	int nlimits;
	bool session;		/* setsid: own session, no terminal */
};

#define CHILD_OOM_KEEP	(-10000)	/* as ours */
/* Above ours by a step (1000 at most) where that can be done: when memory ends
 * the kernel takes a worker before its manager. */
#define CHILD_OOM_ABOVE (-10001)
#define CHILD_OOM_STEP	100

struct child_error {
	const char *step;	/* "exec", "chroot" ...: static text */
	int error;		/* errno */
};

/*
 * Starts it. Returns its pid and the pidfd in *PIDFD (numbered RECORD_LOW or
 * more, no close-on-exec), or -errno with *ERR filled; then no process is
 * left and *PIDFD is -1. Blocks as vfork does, until exec (0.1 to 0.5 ms).
 *
 * Both are written by the kernel, so that in shared memory they outlive us at
 * every moment: *PIDFD before there is a process, still with close-on-exec,
 * *PID (0 at first) as the first thing that the process does.
 */
pid_t child_start(const struct child_spec *spec, int *pidfd, uint64_t *pid,
		  struct child_error *err);

/* Whose PIDFD is, where *PID was not written yet. -ESRCH: it is none, or its
 * process is gone; -errno: it can't be told here. */
pid_t child_pid(int pidfd);

/* How long child_start has held its caller up, in all (us). */
int64_t child_blocked_us(void);

/* What RLIMIT_NOFILE children get whose spec sets none: the one that this
 * process was started with, before it raised its own. */
void child_default_nofile(const struct rlimit *r);

/* How a child ended. */
struct child_exit {
	bool known;	/* false: not our child (a take-over), status unknown */
	bool signaled;
	int status;	/* exit status or signal */
	struct rusage usage;
};

/* Reaps by PIDFD without waiting. 1 it ended, 0 it lives, or how it ended is
 * told in a moment: ask again; -errno. Works also for a child that an earlier
 * process started (PIDFD_GET_INFO, Linux 6.15; before: known is false). */
int child_reap(int pidfd, struct child_exit *out);

/* "exited with status 3", "killed by signal 9 (SIGKILL)" into BUF. */
const char *child_exit_text(const struct child_exit *e, char *buf, size_t len);

/* pidfd_send_signal. 0 or -errno (-ESRCH: it has ended). */
int child_kill(int pidfd, int signo);

/*
 * Who USER (name or number, NULL: stay) and GROUP (NULL: the user's own) are,
 * with supplementary groups, home and shell. Asks the user database, may
 * block: at load time only. 0, -ENOENT (no such user or group: *MISSING says
 * which word), or -errno.
 */
struct child_user {
	struct child_identity identity;
	char *name, *home, *shell;
};
int child_user_find(const char *user, const char *group,
		    struct child_user *out, const char **missing);
void child_user_free(struct child_user *u);

#endif
