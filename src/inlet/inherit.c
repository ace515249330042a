/*
 * inherit - descriptors that a service manager gave us (sd_listen_fds(3)).
 *
 * They begin at 3, where roles will be: moved up before the state is opened.
 * LISTEN_* leave the environment, so that no child takes them for its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "inlet/listener.h"

#define FIRST 3		/* SD_LISTEN_FDS_START */

static struct {
	char **names;
	int *fds;
	int n;
	bool moved;
} inherited;

static int count(void)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	int64_t p, n;

	if (!pid || !fds || text_number(pid, 1, INT32_MAX, &p) < 0 ||
	    p != getpid() || text_number(fds, 1, 65536, &n) < 0)
		return 0;
	return (int)n;
}

void listener_inherit(void)
{
	char *names = xstrdup(getenv("LISTEN_FDNAMES") ?: ""), *rest = names;
	int n = count();

	inherited.names = xcalloc((size_t)n + 1, sizeof(*inherited.names));
	inherited.fds = xcalloc((size_t)n + 1, sizeof(*inherited.fds));
	inherited.n = n;
	for (int i = 0; i < n; i++) {
		char *name = strsep(&rest, ":");
		int above = RECORD_LOW > FIRST + n ? RECORD_LOW : FIRST + n;

		inherited.names[i] = xstrdup(name ?: "");
		inherited.fds[i] = fcntl(FIRST + i, F_DUPFD, above);
		close(FIRST + i);
	}
	free(names);
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	unsetenv("LISTEN_PIDFDID");
}

/* From up there to where a carried descriptor may be. */
static int take(int *fd)
{
	CLEANUP(fd_closep) int high = fd_take(fd);

	return inherited.moved ? fcntl(high, F_DUPFD, RECORD_LOW)
			       : fd_take(&high);
}

/* A name may stand for several (ListenStream= twice in one unit): each is
 * given once, in order. */
int listener_inherited(const char *name)
{
	for (int i = 0; i < inherited.n; i++)
		if (inherited.fds[i] >= 0 &&
		    strcmp(inherited.names[i], name) == 0)
			return take(&inherited.fds[i]);
	return -ENOENT;
}

void listener_inherited_move(int from, int to)
{
	inherited.moved = true;
	for (int i = 0; i < inherited.n; i++) {
		int fd = inherited.fds[i] < 0 || from >= to
				 ? -1
				 : fcntl(inherited.fds[i],
					 F_DUPFD_CLOEXEC, from);

		fd_closep(&inherited.fds[i]);
		inherited.fds[i] = fd;
		if (fd >= 0)
			from = fd + 1;
	}
}

int listener_inherited_close(void)
{
	int closed = 0;

	for (int i = 0; i < inherited.n; i++) {
		closed += inherited.fds[i] >= 0;
		fd_closep(&inherited.fds[i]);
		free(inherited.names[i]);
	}
	free(TAKE(inherited.names));
	free(TAKE(inherited.fds));
	inherited.n = 0;
	return closed;
}

/* ---- given ---- */

static int given = -1;

static bool is_any(const struct addr_name *n)
{
	return n->u.sa.sa_family == AF_INET6
		? IN6_IS_ADDR_UNSPECIFIED(&n->u.in6.sin6_addr)
		: n->u.sa.sa_family == AF_INET &&
		  n->u.in.sin_addr.s_addr == INADDR_ANY;
}

int listener_give(int fd)
{
	if (given >= 0)
		return -EBUSY;
	given = fd;
	return 0;
}

int listener_given(void)
{
	return given < 0 ? -ENOENT : fd_take(&given);
}

static bool same_name(const struct addr_name *a, const struct addr_name *b)
{
	if (a->u.sa.sa_family == b->u.sa.sa_family && a->len == b->len &&
	    a->u.sa.sa_family != AF_INET6)
		return memcmp(&a->u, &b->u, a->len) == 0;
	if (addr_port(a) != addr_port(b))
		return false;
	if (is_any(a) && is_any(b))
		return true;
	return a->u.sa.sa_family == AF_INET6 &&
	       b->u.sa.sa_family == AF_INET6 &&
	       IN6_ARE_ADDR_EQUAL(&a->u.in6.sin6_addr, &b->u.in6.sin6_addr);
}

bool listener_has_given(void)
{
	return given >= 0;
}

int listener_given_for(const struct addr *a, const struct addr_name *name)
{
	struct addr_name own = { .len = sizeof(own.u) };
	int type;
	socklen_t len = sizeof(type);

	if (given < 0 || getsockname(given, &own.u.sa, &own.len) < 0 ||
	    getsockopt(given, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
	    type != addr_socktype(a->kind) || !same_name(&own, name))
		return -1;
	return fd_take(&given);
}
