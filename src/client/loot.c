/*
 * loot - listening sockets out of a program; see the header.
 */
#include "client/loot.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/fd.h"

struct search {
	pid_t pid;
	int pidfd;
	const struct addr *addr;
	int *fds;
	uint64_t cookies[LOOT_MAX];
	int n;
	int error;		/* of the last one that could not be had */
};

static bool is_any(const struct addr_name *n)
{
	if (n->u.sa.sa_family == AF_INET)
		return n->u.in.sin_addr.s_addr == INADDR_ANY;
	return n->u.sa.sa_family == AF_INET6 &&
	       IN6_IS_ADDR_UNSPECIFIED(&n->u.in6.sin6_addr);
}

static bool same(const struct addr *a, const struct addr_name *wanted,
		 const struct addr_name *n)
{
	char x[ADDR_TEXT], y[ADDR_TEXT];

	if (!addr_is_unix(a->kind) && is_any(wanted) && is_any(n))
		return addr_port(wanted) == addr_port(n) &&
		       (a->family == AF_UNSPEC ||
			a->family == n->u.sa.sa_family);
	addr_print(wanted, x, sizeof(x));
	addr_print(n, y, sizeof(y));
	return strcmp(x, y) == 0;
}

static bool fits(const struct search *s, int fd)
{
	struct addr_name n = { .len = sizeof(n.u) };
	bool dgram = addr_socktype(s->addr->kind) == SOCK_DGRAM;

	if (fd_check(fd, dgram ? FD_WANT_DGRAM : FD_WANT_LISTENING, NULL) < 0)
		return false;
	if (getsockname(fd, &n.u.sa, &n.len) < 0)
		return false;
	for (size_t i = 0; i < s->addr->nnames; i++)
		if (same(s->addr, &s->addr->names[i], &n))
			return true;
	return false;
}

static bool seen(const struct search *s, uint64_t cookie)
{
	for (int i = 0; i < s->n; i++)
		if (s->cookies[i] == cookie)
			return true;
	return false;
}

static void try_one(struct search *s, int number)
{
	int fd = (int)syscall(SYS_pidfd_getfd, s->pidfd, number, 0);

	if (fd < 0) {
		if (errno != EBADF)
			s->error = errno;
		return;
	}
	if (s->n == LOOT_MAX || !fits(s, fd) || seen(s, fd_cookie(fd))) {
		close(fd);
		return;
	}
	s->cookies[s->n] = fd_cookie(fd);
	s->fds[s->n++] = fd;
}

static int look(struct search *s, char **why)
{
	char path[64], link[64];
	struct dirent *d;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)s->pid);
	dir = opendir(path);
	if (!dir) {
		*why = xasprintf("pid %d: its descriptors can't be seen: %s; "
				 "as root it works", (int)s->pid,
				 strerror(errno));
		return -EPERM;
	}
	while ((d = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), d->d_name, link,
				       sizeof(link) - 1);

		link[n > 0 ? n : 0] = '\0';
		if (strncmp(link, "socket:", 7) == 0)
			try_one(s, atoi(d->d_name));
	}
	closedir(dir);
	if (s->n > 0)
		return s->n;
	if (s->error) {
		*why = xasprintf("pid %d: its sockets can't be had: %s; it "
				 "takes the right to trace it (as root, and "
				 "where kernel.yama.ptrace_scope allows)",
				 (int)s->pid, strerror(s->error));
		return -EPERM;
	}
	*why = xasprintf("pid %d does not listen on %s", (int)s->pid,
			 s->addr->text);
	return -ENOENT;
}

int loot_listening(pid_t pid, const char *address, int *fds, char **why)
{
	struct addr a = { 0 };
	struct search s = { .pid = pid, .addr = &a, .fds = fds };
	int r = addr_parse(address, &a, why);

	if (r < 0)
		return r;
	r = a.nnames ? 0 : addr_resolve(&a, true, why);
	s.pidfd = r < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
	if (r == 0 && s.pidfd < 0) {
		r = -errno;
		*why = xasprintf("pid %d: %s", (int)pid, strerror(-r));
	}
	if (r == 0)
		r = look(&s, why);
	fd_closep(&s.pidfd);
	addr_free(&a);
	return r;
}
