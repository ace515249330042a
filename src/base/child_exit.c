/*
 * child_exit - how a child ended, and what it is told; see child.h.
 *
 * By its pidfd alone, since pids are used again.
 */
#include "base/child.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/loop.h"

/* linux/pidfd.h has these from 6.15 on; Debian 12's has not. */
struct pidfd_info_exit {
	uint64_t mask, cgroup;
	uint32_t pid, tgid, ppid, ids[8];
	int32_t exit_code;
};
#define PIDFD_EXIT     (1u << 3)
#define PIDFD_GET_EXIT _IOWR(0xFF, 11, struct pidfd_info_exit)

/* 1: told; 0: it has not been reaped yet; -errno. */
static int ask(int pidfd, struct pidfd_info_exit *info)
{
	*info = (struct pidfd_info_exit){ .mask = PIDFD_EXIT };
	if (ioctl(pidfd, PIDFD_GET_EXIT, info) < 0)
		return -errno;
	return (info->mask & PIDFD_EXIT) != 0;
}

/* Who is its parent now sees its end when we do, and until that one has reaped
 * it nothing tells how it ended. The loop asks in each round, since a pidfd
 * stays readable; a parent that reaps nobody (a container's first process) is
 * given up for good. */
#define REAPED_US 100000

static struct {
	bool never;
	int64_t since;	/* us; 0: all that we asked for were told */
} reaping;

static bool may_be_reaped(void)
{
	if (reaping.since == 0)
		reaping.since = loop_us();
	reaping.never |= loop_us() - reaping.since > REAPED_US;
	return !reaping.never;
}

/* Not our child: an earlier process started it. */
static int reap_strange(int pidfd, struct child_exit *out)
{
	struct pidfd_info_exit info;
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	int r;

	if (poll(&p, 1, 0) < 1)
		return 0;
	r = ask(pidfd, &info);
	if (r < 1)
		return r < 0 || !may_be_reaped();
	reaping.since = 0;
	out->known = true;
	out->signaled = WIFSIGNALED(info.exit_code);
	out->status = out->signaled ? WTERMSIG(info.exit_code)
				    : WEXITSTATUS(info.exit_code);
	return 1;
}

int child_reap(int pidfd, struct child_exit *out)
{
	siginfo_t si = { 0 };

	*out = (struct child_exit){ 0 };
	if (syscall(SYS_waitid, P_PIDFD, pidfd, &si, WEXITED | WNOHANG,
		    &out->usage) < 0)
		return errno == ECHILD ? reap_strange(pidfd, out) : -errno;
	if (si.si_pid == 0)
		return 0;
	out->known = true;
	out->signaled = si.si_code != CLD_EXITED;
	out->status = si.si_status;
	return 1;
}

const char *child_exit_text(const struct child_exit *e, char *buf, size_t len)
{
	if (!e->known)
		snprintf(buf, len, "ended, its status is unknown");
	else if (e->signaled)
		snprintf(buf, len, "was killed by signal %d (SIG%s)",
			 e->status, sigabbrev_np(e->status) ?: "?");
	else
		snprintf(buf, len, "exited with status %d", e->status);
	return buf;
}

pid_t child_pid(int pidfd)
{
	char path[48], line[64];
	int pid = -ESRCH;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "Pid: %d", &pid) == 1)
			break;
	fclose(f);
	return pid > 0 ? pid : -ESRCH;
}

int child_kill(int pidfd, int signo)
{
	return syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0) < 0
		? -errno : 0;
}
