/*
 * listener_open - how a door comes to be, moves and goes; see listener.h.
 *
 * It is bound here, or was inherited or given; then it is a record and an
 * endpoint of its service. A socket's path is removed only while it is still
 * the one that was bound. Why one can't be bound is told with its cure.
 *
 * When a door is looked at, and what is accepted, is inlet/listener's.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fd.h"
#include "base/net.h"
#include "inlet/beside.h"
#include "inlet/listener_private.h"

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

/* Daemons of Postfix are all woken for a client and one gets it. Where their
 * master's sockets did not refuse, the others would wait in accept, deaf to
 * the clients that they have. */
static bool is_masters(const struct service *s, enum endpoint_use use)
{
	return use == USE_LISTEN && s->conf->handoff == HANDOFF_SHARE &&
	       s->conf->protocol == PROTOCOL_POSTFIX;
}

/*
 * Usher must never wait in accept. Other programs that accept for themselves
 * were given a socket that blocks by inetd and systemd, and whoever relies on
 * it would spin or give up on EAGAIN.
 */
static void door_blocks(const struct service *s, enum endpoint_use use, int fd)
{
	fd_nonblock(fd, use != USE_LISTEN || is_masters(s, use) ||
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

void listener_name(int record, struct addr_name *name)
{
	name->len = sizeof(name->u);
	if (getsockname(record_at(record)->fd[0], &name->u.sa,
			&name->len) < 0)
		name->len = 0;
}

struct endpoint *listener_hang(struct service *s, int record,
			       const struct addr *addr,
			       const struct addr_name *name)
{
	struct endpoint *ep = endpoint_new(s, addr, record_at(record)->arg);

	ep->record = record;
	ep->adopted = RECORD_AS(record, struct door_data)->adopted;
	ep->foreign = RECORD_AS(record, struct door_data)->foreign;
	memcpy(&ep->name.u, &name->u, name->len);
	ep->name.len = name->len;
	ep->wildcard = is_wildcard(&ep->name);
	return ep;
}

void listener_as_noted(struct endpoint *ep)
{
	struct door_data *d = RECORD_AS(ep->record, struct door_data);

	if (is_masters(ep->service, ep->use))
		fd_nonblock(record_at(ep->record)->fd[0], true);
	else if (ep->addr.kind == ADDR_FD && d->noted != NOTED_NOTHING)
		fd_nonblock(record_at(ep->record)->fd[0],
			    d->noted == NOTED_NONBLOCK);
	d->noted = NOTED_NOTHING;
}

struct endpoint *listener_adopt(struct service *s, int fd,
				const struct addr *addr,
				enum endpoint_use use)
{
	int record = record_new(RECORD_DOOR, s->slot, use);
	struct addr_name name;
	struct endpoint *ep;

	if (record < 0)
		return NULL;
	door_blocks(s, use, fd);
	record_set_fd(record, 0, fd);
	record_commit(record);
	listener_name(record, &name);
	ep = listener_hang(s, record, addr, &name);
	fill_door(ep);
	return ep;
}

int listener_part(struct endpoint *ep)
{
	int record = ep->record;

	listener_look_away(ep);
	/* The record lives on, and with it what this round has yet to tell. */
	loop_attach(ep->service->u->loop, record, NULL, NULL);
	ep->record = -1;
	return record;
}

void listener_close(struct endpoint *ep, bool unlink_path)
{
	struct door_data *d;
	struct stat sb;

	listener_look_away(ep);
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

void listener_changed(const struct endpoint *ep)
{
	door_blocks(ep->service, ep->use, record_at(ep->record)->fd[0]);
}

void listener_move(struct endpoint *ep, struct service *to)
{
	listener_look_away(ep);
	TAILQ_REMOVE(&ep->service->endpoints, ep, entry);
	TAILQ_INSERT_TAIL(&to->endpoints, ep, entry);
	ep->service = to;
	record_move(ep->record, to->slot);
	FAULT("door-moved");
	listener_changed(ep);
}

/* ---- binding ---- */

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
