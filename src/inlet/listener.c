/*
 * listener - a service's doors; see listener.h.
 *
 * A door is a RECORD_DOOR, watched level-triggered while nothing holds it.
 * Who is out of descriptors looks away for a while: accept fails with EMFILE
 * while the socket stays readable, and would be called without end.
 */
#include "inlet/listener.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fd.h"
#include "base/net.h"
#include "inlet/admit.h"
#include "inlet/arrival.h"
#include "inlet/beside.h"

/* A burst, not a drain: the other descriptors want their turn. */
#define ACCEPT_BURST 16
#define REST_MS      250
/* One line a minute about it, not a flood. */
#define REST_TELL_MS 60000

/* ---- looking ---- */

static bool accepts(const struct endpoint *ep)
{
	switch (ep->addr.kind) {
	case ADDR_TCP:
	case ADDR_UNIX:
	case ADDR_UNIX_SEQPACKET:
	case ADDR_UNIX_PASS:
	case ADDR_FD:
		return true;
	default:
		return false;
	}
}

static bool held(const struct endpoint *ep)
{
	return ep->holds || ep->service->holds;
}

static void on_rested(void *arg)
{
	endpoint_release(arg, HOLD_REST);
}

void listener_rest(struct endpoint *ep, int error)
{
	struct usher *u = ep->service->u;
	int64_t now = loop_now(u->loop);

	if (!u->rest_told || now - u->rest_told > REST_TELL_MS) {
		u->rest_told = now;
		service_log(ep->service, LOG_LEVEL_WARNING,
			    "%s: %s; looking away for %d ms at a "
			    "time, clients wait in the kernel's queue (raise "
			    "LimitNOFILE or max_descriptors)",
			    ep->addr.text, strerror(error), REST_MS);
	}
	endpoint_hold(ep, HOLD_REST);
	timer_set(u->loop, &ep->rest, REST_MS, on_rested, ep);
}

/* Errors of the connection that was to be accepted, not of the door
 * (accept(2), "Error handling"). */
static bool passing(int error)
{
	return error == -EINTR || error == -ECONNABORTED ||
	       error == -ENETDOWN || error == -EPROTO ||
	       error == -ENOPROTOOPT || error == -EHOSTDOWN ||
	       error == -ENONET || error == -EHOSTUNREACH ||
	       error == -EOPNOTSUPP || error == -ENETUNREACH;
}

void listener_unblock(const struct endpoint *ep)
{
	if (ep->foreign || ep->addr.kind == ADDR_FD)
		fd_nonblock(record_at(ep->record)->fd[0], true);
}

/* As listener_accept, but says what went wrong (-errno). */
static int accept_fd(struct endpoint *ep, struct addr_name *peer)
{
	int fd = record_at(ep->record)->fd[0];

	peer->len = sizeof(peer->u);
	listener_unblock(ep);
	fd = accept4(fd, &peer->u.sa, &peer->len, SOCK_NONBLOCK);
	if (fd < 0)
		return -errno;
	RECORD_AS(ep->record, struct door_data)->arrivals++;
	return fd;
}

int listener_accept(struct endpoint *ep, struct addr_name *peer)
{
	int fd = accept_fd(ep, peer);

	if (fd >= 0 || fd == -EAGAIN)
		return fd;
	if (passing(fd))
		return -ECONNABORTED;
	listener_rest(ep, -fd);
	return -EAGAIN;
}

void endpoint_foreign(struct endpoint *ep)
{
	ep->foreign = true;
	RECORD_AS(ep->record, struct door_data)->foreign = 1;
}

static int accept_one(struct endpoint *ep)
{
	struct addr_name peer;
	int fd = accept_fd(ep, &peer);

	if (fd < 0)
		return fd;
	FAULT("accepted");
	stats_count(&ep->service->data->arrivals, 1);
	arrival_take(ep->service, ep, fd, &peer);
	return 0;
}

/* With on_full other than wait, what has no room is accepted and refused. */
static bool has_room(struct service *s)
{
	if (s->conf->on_full != ON_WAIT || service_has_room(s))
		return admit_room(s);
	s->holds |= HOLD_FULL;
	return false;
}

bool listener_room(struct endpoint *ep)
{
	if (held(ep))
		return false;
	if (has_room(ep->service))
		return true;
	service_hold(ep->service, 0);
	return false;
}

static void on_acceptable(void *arg, uint32_t events)
{
	struct endpoint *ep = arg;
	struct service *s = ep->service;

	(void)events;
	for (int i = 0; i < ACCEPT_BURST && !held(ep); i++) {
		int r;

		if (!has_room(s)) {
			service_hold(s, 0);
			return;
		}
		r = accept_one(ep);
		if (r == -EAGAIN)
			break;
		if (r < 0 && !passing(r)) {
			listener_rest(ep, -r);
			return;
		}
	}
}

static struct door_data *door(const struct endpoint *ep)
{
	return RECORD_AS(ep->record, struct door_data);
}

/* Its record says so last, and first that it is over: after a take-over what
 * it says is true. */
static void look(struct endpoint *ep)
{
	struct loop *l = ep->service->u->loop;
	int r;

	if (ep->watched)
		return;
	if (door(ep)->watched) {
		loop_attach(l, ep->record, on_acceptable, ep);
		ep->watched = true;
		return;
	}
	r = loop_watch(l, ep->record, 0, EPOLLIN, on_acceptable, ep);
	if (r < 0)
		service_log(ep->service, LOG_LEVEL_ERROR,
			    "%s: can't be watched: %s", ep->addr.text,
			    strerror(-r));
	ep->watched = r == 0;
	door(ep)->watched = ep->watched;
}

static void look_away(struct endpoint *ep)
{
	bool was = ep->watched || (ep->record >= 0 && door(ep)->watched);

	ep->watched = false;
	if (!was)
		return;
	door(ep)->watched = 0;
	loop_unwatch(ep->service->u->loop, ep->record, 0);
}

void endpoint_update(struct endpoint *ep)
{
	if (ep->record < 0)
		return;
	if (ep->use == USE_TRIGGER) {
		if (ep->update)
			ep->update(ep);
		return;
	}
	if (!accepts(ep) || held(ep))
		look_away(ep);
	else
		look(ep);
}

void service_hold(struct service *s, uint32_t bits)
{
	struct endpoint *ep;

	s->holds |= bits;
	TAILQ_FOREACH(ep, &s->endpoints, entry)
		endpoint_update(ep);
}

void service_release(struct service *s, uint32_t bits)
{
	struct endpoint *ep;

	if (!(s->holds & bits))
		return;
	s->holds &= ~bits;
	TAILQ_FOREACH(ep, &s->endpoints, entry)
		endpoint_update(ep);
}

void endpoint_hold(struct endpoint *ep, uint32_t bits)
{
	ep->holds |= bits;
	endpoint_update(ep);
}

void endpoint_release(struct endpoint *ep, uint32_t bits)
{
	ep->holds &= ~bits;
	endpoint_update(ep);
}

void listener_drain(struct endpoint *ep)
{
	int r = 0;

	while (accepts(ep) && (r == 0 || passing(r)))
		r = accept_one(ep);
}

/* ---- opening ---- */

static bool is_wildcard(const struct addr_name *n)
{
	if (n->u.sa.sa_family == AF_INET)
		return n->u.in.sin_addr.s_addr == INADDR_ANY;
	if (n->u.sa.sa_family == AF_INET6)
		return IN6_IS_ADDR_UNSPECIFIED(&n->u.in6.sin6_addr);
	return false;
}

static void fill_door(struct endpoint *ep)
{
	struct door_data *d = RECORD_AS(ep->record, struct door_data);
	struct stat sb;

	d->kind = ep->addr.kind;
	d->adopted = ep->adopted;
	if (!ep->addr.path)
		return;
	snprintf(d->path, sizeof(d->path), "%s", ep->addr.path);
	if (ep->addr.kind == ADDR_FD)
		return;
	if (ep->addr.path[0] == '/' &&
	    lstat(ep->aside ?: ep->addr.path, &sb) == 0)
		d->inode = sb.st_ino;
}

/*
 * Usher must never wait in accept. Programs that accept for themselves were
 * given a socket that blocks by inetd and systemd, and whoever relies on it
 * would spin or give up on EAGAIN.
 */
static void door_blocks(const struct service *s, enum endpoint_use use, int fd)
{
	fd_nonblock(fd, use != USE_LISTEN ||
			s->conf->handoff != HANDOFF_SHARE);
}

static struct endpoint *endpoint_new(struct service *s,
				     const struct addr *addr,
				     enum endpoint_use use)
{
	struct endpoint *ep = xcalloc(1, sizeof(*ep));

	ep->service = s;
	ep->use = use;
	ep->record = -1;
	addr_copy(&ep->addr, addr);
	/* It is bound: what else its host resolves to is the file's. */
	free(TAKE(ep->addr.names));
	ep->addr.nnames = 0;
	TAILQ_INSERT_TAIL(&s->endpoints, ep, entry);
	return ep;
}

static void learn_name(struct endpoint *ep)
{
	ep->name.len = sizeof(ep->name.u);
	if (getsockname(record_at(ep->record)->fd[0], &ep->name.u.sa,
			&ep->name.len) < 0)
		ep->name.len = 0;
	ep->wildcard = is_wildcard(&ep->name);
}

struct endpoint *listener_hang(struct service *s, int record,
			       const struct addr *addr)
{
	struct endpoint *ep = endpoint_new(s, addr, record_at(record)->arg);

	ep->record = record;
	ep->adopted = RECORD_AS(record, struct door_data)->adopted;
	ep->foreign = RECORD_AS(record, struct door_data)->foreign;
	learn_name(ep);
	return ep;
}

struct endpoint *listener_adopt(struct service *s, int fd,
				const struct addr *addr,
				enum endpoint_use use)
{
	int record = record_new(RECORD_DOOR, s->slot, use);
	struct endpoint *ep;

	if (record < 0)
		return NULL;
	door_blocks(s, use, fd);
	record_set_fd(record, 0, fd);
	record_commit(record);
	ep = listener_hang(s, record, addr);
	fill_door(ep);
	return ep;
}

int listener_part(struct endpoint *ep)
{
	int record = ep->record;

	look_away(ep);
	/* The record lives on, and with it what this round has yet to tell. */
	loop_attach(ep->service->u->loop, record, NULL, NULL);
	ep->record = -1;
	return record;
}

void listener_close(struct endpoint *ep, bool unlink_path)
{
	struct door_data *d;
	struct stat sb;

	look_away(ep);
	timer_cancel(ep->service->u->loop, &ep->rest);
	if (ep->record >= 0) {
		d = RECORD_AS(ep->record, struct door_data);
		if (unlink_path && d->path[0] == '/' && d->inode &&
		    d->kind != ADDR_FIFO && lstat(d->path, &sb) == 0 &&
		    sb.st_ino == d->inode && S_ISSOCK(sb.st_mode))
			unlink(d->path);
		record_close(ep->record);
	}
	if (ep->aside)
		unlink(ep->aside);
	free(ep->aside);
	TAILQ_REMOVE(&ep->service->endpoints, ep, entry);
	addr_free(&ep->addr);
	free(ep);
}

void listener_move(struct endpoint *ep, struct service *to)
{
	look_away(ep);
	TAILQ_REMOVE(&ep->service->endpoints, ep, entry);
	TAILQ_INSERT_TAIL(&to->endpoints, ep, entry);
	ep->service = to;
	record_at(ep->record)->service = to->slot;
	record_commit(ep->record);
	door_blocks(to, ep->use, record_at(ep->record)->fd[0]);
}

static void note(void *arg, const char *text)
{
	service_log((struct service *)arg, LOG_LEVEL_WARNING, "%s", text);
}

/* Half a sentence about why NAME of A can't be bound, with its cure. */
static char *explain(const struct service *s, const struct addr *a,
		     const struct addr_name *name, int error)
{
	const struct endpoint *own = error == -EADDRINUSE
		? beside_door(s->u, a, name) : NULL;
	struct net_holder h;

	if (own)
		return xasprintf("%s: no room beside %s, a door of %s that "
				 "stays; of two that overlap one must go",
				 a->text, own->addr.text, own->service->name);
	if (error == -EADDRINUSE && net_holder(a, name, &h))
		return xasprintf("%s is held by %s (pid %d); 'usher adopt %s "
				 "--pid %d --listen %s' takes it without "
				 "closing", a->text, h.name, (int)h.pid,
				 s->name, (int)h.pid, a->text);
	if (error == -EACCES && a->port)
		return xasprintf("%s: no right to bind a port below 1024; the "
				 "drop-in ports-below-1024.conf gives usher "
				 "CAP_NET_BIND_SERVICE", a->text);
	if (error == -EEXIST)
		return xasprintf("%s: something that is no socket of a dead "
				 "program is in the way; remove it or take "
				 "another path", a->text);
	return xasprintf("%s: %s", a->text, strerror(-error));
}

static int open_inherited(struct service *s, const struct addr *addr,
			  enum endpoint_use use, char **why)
{
	int fd = listener_inherited(addr->path);
	const char *bad = NULL;

	if (fd < 0) {
		*why = xasprintf("%s: no descriptor of that name was "
				 "inherited; name it in the socket unit by "
				 "FileDescriptorName=%s", addr->text,
				 addr->path);
		return fd;
	}
	if (use == USE_LISTEN && s->conf->handoff != HANDOFF_SHARE &&
	    fd_check(fd, FD_WANT_LISTENING, &bad) < 0) {
		*why = xasprintf("%s: %s", addr->text, bad);
		close(fd);
		return -EINVAL;
	}
	if (!listener_adopt(s, fd, addr, use)) {
		close(fd);
		*why = xasprintf("%s: too many descriptors", addr->text);
		return -ENFILE;
	}
	return 0;
}

static int bind_one(struct service *s, const struct addr *addr,
		    const struct addr_name *name, const struct net_note *n,
		    char **aside)
{
	int fd = listener_given_for(addr, name);

	if (fd < 0)
		fd = net_listen(addr, name, n);
	return fd == -EADDRINUSE ? beside_listen(s->u, addr, name, n, aside)
				 : fd;
}

int listener_open(struct service *s, const struct addr *addr,
		  enum endpoint_use use, char **why)
{
	const struct net_note n = { note, s };
	struct endpoint *last = TAILQ_LAST(&s->endpoints, endpoints);

	if (addr->kind == ADDR_FD)
		return open_inherited(s, addr, use, why);
	for (size_t i = 0; i < addr->nnames; i++) {
		bool had = listener_has_given();
		CLEANUP(freep) char *aside = NULL;
		int fd = bind_one(s, addr, &addr->names[i], &n, &aside);
		struct endpoint *ep = fd < 0 ? NULL
				    : listener_adopt(s, fd, addr, use);

		if (ep && had && !listener_has_given())
			endpoint_foreign(ep);
		if (ep && aside) {
			ep->aside = TAKE(aside);
			fill_door(ep);
		}
		if (ep)
			continue;
		*why = explain(s, addr, &addr->names[i], fd < 0 ? fd
								: -ENFILE);
		if (fd >= 0)
			close(fd);
		while ((ep = TAILQ_LAST(&s->endpoints, endpoints)) != last)
			listener_close(ep, true);
		return fd < 0 ? fd : -ENFILE;
	}
	return 0;
}
