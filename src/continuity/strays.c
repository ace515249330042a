/*
 * strays - descriptors that no record explains; see strays.h.
 */
#include "continuity/strays.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "inlet/arrival.h"
#include "inlet/request.h"

/* So many numbers are looked at in one turn. */
#define SWEEP 1024

/* Collected before anything new is opened. */
static struct {
	int *fd;
	size_t n;
	struct timer turn;
	struct task sweep;
	int at;			/* the next that is looked at */
	struct usher *u;
	struct revived *told;
} strays;

/* ---- was it handed on? ---- */

/* Has another process the socket INODE open? The keepers share ours. */
static bool held_by(const char *pid, ino_t inode)
{
	char path[300], link[64], want[64];
	struct dirent *e;
	bool found = false;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
	snprintf(want, sizeof(want), "socket:[%lu]", (unsigned long)inode);
	d = opendir(path);
	while (d && !found && (e = readdir(d))) {
		ssize_t n = readlinkat(dirfd(d), e->d_name, link,
				       sizeof(link) - 1);

		if (n < 0)
			continue;
		link[n] = 0;
		found = strcmp(link, want) == 0;
	}
	if (d)
		closedir(d);
	return found;
}

/* Ours may not have come to say its name. */
static bool is_keeper(const char *pid)
{
	char path[64], name[32] = "";
	FILE *f;

	if (strtoul(pid, NULL, 10) == record_globals()->keeper_pid)
		return true;
	snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
	f = fopen(path, "re");
	if (f && !fgets(name, sizeof(name), f))
		name[0] = 0;
	if (f)
		fclose(f);
	return strncmp(name, "usher-keeper", 12) == 0;
}

static bool held_elsewhere(int fd)
{
	struct stat sb;
	struct dirent *e;
	bool found = false;
	DIR *d = opendir("/proc");

	if (fstat(fd, &sb) < 0) {
		if (d)
			closedir(d);
		return false;
	}
	while (d && !found && (e = readdir(d))) {
		int64_t pid;

		if (text_number(e->d_name, 1, INT32_MAX, &pid) < 0 ||
		    pid == getpid() || is_keeper(e->d_name))
			continue;
		found = held_by(e->d_name, sb.st_ino);
	}
	if (d)
		closedir(d);
	return found;
}

/* A Unix socket counts nothing: what lies unread, or an end that was said,
 * tells. An answer that was read and closed does not (usher(8), CAVEATS). No
 * bytes ask a stream for its end; of packets they would be one. */
static bool was_answered_unix(int fd)
{
	int type = 0;
	socklen_t len = sizeof(type);

	if (fd_outq(fd) > 0)
		return true;
	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
	       type == SOCK_STREAM &&
	       send(fd, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
	       errno == EPIPE;
}

/* Did bytes go out to the client? Then somebody had it. */
static bool was_answered(int fd)
{
	struct tcp_info t;
	socklen_t len = sizeof(t), size = sizeof(int);
	int domain = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 &&
	    domain == AF_UNIX)
		return was_answered_unix(fd);
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &t, &len) < 0 ||
	    len < offsetof(struct tcp_info, tcpi_segs_out))
		return false;
	return t.tcpi_bytes_acked > 1 || t.tcpi_notsent_bytes > 0 ||
	       t.tcpi_unacked > 0;
}

bool stray_was_handed_on(int fd)
{
	return was_answered(fd) || held_elsewhere(fd);
}

/* ---- strays ---- */

static bool *explained(void)
{
	bool *mine = xcalloc(record_max(), sizeof(*mine));

	for (int i = -1; (i = record_next(RECORD_NONE, i)) >= 0;)
		for (int k = 0; k < RECORD_FDS; k++) {
			int fd = record_at(i)->fd[k];

			if (fd >= 0 && fd < (int)record_max())
				mine[fd] = true;
		}
	return mine;
}

void strays_collect(void)
{
	CLEANUP(freep) bool *mine = explained();

	strays.fd = xmalloc(sizeof(int) * record_max());
	strays.n = 0;
	for (int fd = RECORD_LOW; fd < (int)record_max(); fd++)
		if (!mine[fd] && fcntl(fd, F_GETFD) == 0)
			strays.fd[strays.n++] = fd;
}

/* Through which door it came: its own name is the door's. */
static struct endpoint *door_of(struct usher *u, int fd)
{
	struct addr_name name = { .len = sizeof(name.u) };
	struct service *s;
	struct endpoint *ep;

	if (getsockname(fd, &name.u.sa, &name.len) < 0)
		return NULL;
	TAILQ_FOREACH(s, &u->services, entry)
		TAILQ_FOREACH(ep, &s->endpoints, entry) {
			if (ep->use == USE_TRIGGER && !ep->request)
				continue;	/* not read: a FIFO, held */
			if (ep->name.len == name.len &&
			    memcmp(&ep->name.u, &name.u, name.len) == 0)
				return ep;
			if (ep->wildcard && name.u.sa.sa_family != AF_UNIX &&
			    addr_port(&ep->name) == addr_port(&name))
				return ep;
		}
	return NULL;
}

/* A connection that was accepted and is in no record: at the kill it was on
 * its way to its worker. It was sent (then a worker has it, or had it), or it
 * is sent now. */
static void revive_stray(struct usher *u, int fd, struct revived *out)
{
	struct addr_name peer = { .len = sizeof(peer.u) };
	struct endpoint *ep;

	if (fd_check(fd, FD_WANT_STREAM_CONNECTED, NULL) < 0 ||
	    getpeername(fd, &peer.u.sa, &peer.len) < 0 ||
	    !(ep = door_of(u, fd))) {
		close(fd);
		return;
	}
	/* Only usher reads those, into a record. */
	if (ep->use == USE_TRIGGER) {
		out->fresh++;
		request_take(ep, fd, &peer);
		return;
	}
	/* Read back from a queue, or in a worker's hands. */
	if (arrival_is_waiting(ep->service, fd_cookie(fd)) ||
	    stray_was_handed_on(fd)) {
		out->sent++;
		close(fd);
		return;
	}
	out->fresh++;
	arrival_take(ep->service, ep, fd, &peer);
}

void strays_revive(struct usher *u, struct revived *out)
{
	for (size_t i = 0; i < strays.n; i++)
		revive_stray(u, strays.fd[i], out);
	free(TAKE(strays.fd));
	strays.n = 0;
}

static void sweep_soon(void *arg);

/* A slice of the numbers in each turn: twenty thousand are milliseconds. */
static void sweep(void *arg)
{
	CLEANUP(freep) bool *mine = explained();
	int max = (int)record_max();

	(void)arg;
	for (int i = 0; i < SWEEP && strays.at < max; i++, strays.at++)
		if (!mine[strays.at] && fcntl(strays.at, F_GETFD) == 0)
			revive_stray(strays.u, strays.at, strays.told);
	if (strays.at < max)
		timer_set(strays.u->loop, &strays.turn, 0, sweep_soon, NULL);
}

/* At the round's end, when what it brought is in records or gone on: what is
 * collected for a message goes in a task of its own. */
static void sweep_soon(void *arg)
{
	(void)arg;
	task_set_last(strays.u->loop, &strays.sweep, sweep, NULL);
}

void strays_sweep(struct usher *u, struct revived *out)
{
	strays.u = u;
	strays.told = out;
	strays.at = RECORD_LOW;
	timer_set(u->loop, &strays.turn, 0, sweep_soon, NULL);
}
