/*
 * revive - records into a new model; see revive.h.
 */
#include "continuity/revive.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fd.h"
#include "base/text.h"
#include "inlet/admit.h"
#include "inlet/arrival.h"
#include "inlet/fifo.h"
#include "inlet/leaving.h"
#include "inlet/listener.h"
#include "inlet/passed.h"
#include "inlet/proxy.h"
#include "inlet/request.h"
#include "trigger/trigger.h"
#include "work/worker.h"

/* How long what got SIGKILL may take to be gone. */
#define KILLED_MS 1000

/* Collected before anything new is opened. */
static struct {
	int *fd;
	size_t n;
} strays;

/* ---- doors ---- */

static bool same_path(const struct service *s, const struct addr *a,
		      const char *path)
{
	CLEANUP(freep) char *fifo = a->kind == ADDR_FIFO ? fifo_path(s, a)
							 : NULL;

	return a->path && (strcmp(a->path, path) == 0 ||
			   (fifo && strcmp(fifo, path) == 0));
}

static const struct addr *configured(struct service *s,
				     const struct door_data *d,
				     const struct addr_name *name,
				     enum endpoint_use use)
{
	const struct conf_addrs *list = use == USE_LISTEN ? &s->conf->listen
							  : &s->conf->trigger;

	for (size_t i = 0; i < list->n; i++) {
		const struct addr *a = &list->v[i].addr;

		if ((uint32_t)a->kind != d->kind)
			continue;
		if (d->path[0]) {
			if (same_path(s, a, d->path))
				return a;
			continue;
		}
		for (size_t k = 0; k < a->nnames; k++)
			if (a->names[k].len == name->len &&
			    memcmp(&a->names[k].u, &name->u, name->len) == 0)
				return a;
	}
	return NULL;
}

/* An adopted door that the file does not name: described from its socket. */
static int describe(const struct door_data *d, const struct addr_name *name,
		    struct addr *out)
{
	char text[ADDR_TEXT], word[ADDR_TEXT + 24];
	char *why = NULL;
	int r;

	if (d->path[0])
		snprintf(word, sizeof(word), "%s:%s",
			 addr_kind_name((enum addr_kind)d->kind), d->path);
	else
		snprintf(word, sizeof(word), "%s:%s",
			 addr_kind_name((enum addr_kind)d->kind),
			 addr_print(name, text, sizeof(text)));
	r = addr_parse(word, out, &why);
	free(why);
	return r;
}

static bool hang_door(struct service *s, int i)
{
	const struct door_data *d = RECORD_AS(i, struct door_data);
	struct addr_name name = { .len = sizeof(name.u) };
	const struct addr *a;
	struct addr own;

	if (!memchr(d->path, 0, sizeof(d->path)) ||
	    record_at(i)->arg > USE_TRIGGER)
		return false;
	if (getsockname(record_at(i)->fd[0], &name.u.sa, &name.len) < 0)
		name.len = 0;
	a = configured(s, d, &name, record_at(i)->arg);
	if (a) {
		listener_hang(s, i, a);
		return true;
	}
	if (!d->adopted || describe(d, &name, &own) < 0)
		return false;
	listener_hang(s, i, &own);
	addr_free(&own);
	return true;
}

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

static bool is_keeper(const char *pid)
{
	char path[64], name[32] = "";
	FILE *f;

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

/* Did bytes go out to the client? Then somebody had it. */
static bool was_answered(int fd)
{
	struct tcp_info t;
	socklen_t len = sizeof(t);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &t, &len) < 0 ||
	    len < offsetof(struct tcp_info, tcpi_segs_out))
		return false;
	return t.tcpi_bytes_acked > 1 || t.tcpi_notsent_bytes > 0 ||
	       t.tcpi_unacked > 0;
}

/* ---- records ---- */

static bool hang(struct usher *u, struct service *s, int i)
{
	const struct record *r = record_at(i);

	switch (r->kind) {
	case RECORD_SOURCES:
		return admit_adopt(s, i) == 0;
	case RECORD_DOOR:
		return hang_door(s, i);
	case RECORD_REQUEST:
	case RECORD_RUN:
		/* Before trigger_start, which makes what was not found. */
		return trigger_adopt(s, i) == 0;
	case RECORD_CONN:
		if (r->arg == CONN_WAITING && arrival_was_offered(i) &&
		    (was_answered(r->fd[0]) || held_elsewhere(r->fd[0])))
			return false;
		if (r->arg == CONN_WAITING)
			return arrival_adopt(s, i) == 0;
		if (r->arg == CONN_PROXY)
			return proxy_adopt(s, i) == 0;
		if (r->arg == CONN_PASSED)
			return passed_adopt(s, i) == 0;
		break;
	default:
		break;
	}
	(void)u;
	return s->handler->adopt && s->handler->adopt(s, i) == 0;
}

static void count(struct revived *out, const struct record *r)
{
	switch (r->kind) {
	case RECORD_DOOR:
		out->doors++;
		break;
	case RECORD_WORKER:
		out->workers++;
		break;
	case RECORD_RELAY:
		out->relays++;
		break;
	default:
		out->others++;
	}
}

static bool is_control(const struct record *r)
{
	/* What a service's own workers stored is the service's. */
	return r->kind == RECORD_LEASE || r->kind == RECORD_CLIENT ||
	       ((r->kind == RECORD_DOOR || r->kind == RECORD_STORED) &&
		r->service == RECORD_NOBODY);
}

/* Sources before who is counted there, doors, then what serves, workers after
 * their queues. */
static const enum record_kind order[] = {
	RECORD_SOURCES,
	RECORD_DOOR,   RECORD_QUEUE,   RECORD_STATUS, RECORD_FLOW,
	RECORD_WORKER, RECORD_OUTPUT,  RECORD_NOTIFY, RECORD_READY,
	RECORD_RELAY,  RECORD_CONN,    RECORD_RUN,    RECORD_REQUEST,
	RECORD_STORED, RECORD_LEASE,   RECORD_CLIENT,
};

/* A worker that a reload was trying for a service that was yet to come, when
 * usher was killed: in nobody's service, it would stay for ever. */
static void end_trial(int i)
{
	struct record *r = record_at(i);
	struct pollfd p = { .fd = r->fd[0], .events = POLLIN };
	struct child_exit e;

	if (r->kind != RECORD_WORKER || r->fd[0] < RECORD_LOW ||
	    !RECORD_AS(i, struct worker_data)->trial)
		return;
	child_kill(r->fd[0], SIGKILL);
	poll(&p, 1, KILLED_MS);
	child_reap(r->fd[0], &e);
	log_notice("a worker (pid %d) that a reload was trying is ended",
		   (int)r->id);
}

static void revive_one(struct usher *u, int i,
		       int (*control)(struct usher *u, int i),
		       struct revived *out)
{
	struct record *r = record_at(i);
	struct service *s = model_by_slot(u, r->service);
	struct record copy = *r;
	bool kept;

	if (r->kind == RECORD_RELAY)
		FAULT("record-hung");

	if (r->kind == RECORD_DOOR && leaving_adopt(u, i) == 0)
		kept = true;
	else if (is_control(r))
		kept = control(u, i) == 0;
	else if (r->kind == RECORD_FLOW)
		kept = true;	/* of all Postfix services, found by kind */
	else
		kept = s && hang(u, s, i);
	if (kept) {
		count(out, &copy);
		return;
	}
	out->dropped++;
	end_trial(i);
	log_debug("take-over: record %d (kind %u, service %s) is nobody's",
		  i, copy.kind, s ? s->name : "none");
	if (atomic_load(&r->used) == 1 && r->serial == copy.serial)
		record_close(i);
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

static void collect_strays(void)
{
	CLEANUP(freep) bool *mine = explained();

	strays.fd = xmalloc(sizeof(int) * record_max());
	strays.n = 0;
	for (int fd = RECORD_LOW; fd < (int)record_max(); fd++)
		if (!mine[fd] && fcntl(fd, F_GETFD) == 0)
			strays.fd[strays.n++] = fd;
}

/* All that were there, in order: what is made meanwhile is not among them. */
static int *in_order(size_t *n)
{
	int *list = xcalloc(record_count() + 1, sizeof(*list));

	*n = 0;
	for (size_t k = 0; k < ARRAY_SIZE(order); k++)
		for (int i = -1; (i = record_next(order[k], i)) >= 0;)
			list[(*n)++] = i;
	return list;
}

void revive_records(struct usher *u, int (*control)(struct usher *u, int i),
		    struct revived *out)
{
	CLEANUP(freep) int *list = NULL;
	size_t n;

	*out = (struct revived){ 0 };
	for (int i = -1; (i = record_next(RECORD_WATCH, i)) >= 0;)
		if (record_is_old(i))
			record_close(i);	/* each part opens its own */
	collect_strays();
	list = in_order(&n);
	for (size_t i = 0; i < n; i++)
		revive_one(u, list[i], control, out);
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
	    was_answered(fd) || held_elsewhere(fd)) {
		out->sent++;
		close(fd);
		return;
	}
	out->fresh++;
	arrival_take(ep->service, ep, fd, &peer);
}

void revive_strays(struct usher *u, struct revived *out)
{
	for (size_t i = 0; i < strays.n; i++)
		revive_stray(u, strays.fd[i], out);
	free(TAKE(strays.fd));
	strays.n = 0;
}
