/*
 * beside - a new door where an old one of ours is in the way; see beside.h.
 *
 * SO_REUSEPORT is on for both only while the new one is bound: the kernel
 * looks at what the old socket says now, not at what it said when it was
 * bound. Sockets of another user (inherited, adopted) never let it.
 */
#include "inlet/beside.h"

#include <errno.h>
#include <linux/filter.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "inlet/leaving.h"

static bool is_any(const struct addr_name *n)
{
	return n->u.sa.sa_family == AF_INET6
		? IN6_IS_ADDR_UNSPECIFIED(&n->u.in6.sin6_addr)
		: n->u.in.sin_addr.s_addr == 0;
}

static bool same_host(const struct addr_name *a, const struct addr_name *b)
{
	if (a->u.sa.sa_family != b->u.sa.sa_family)
		return false;
	return a->u.sa.sa_family == AF_INET6
		? IN6_ARE_ADDR_EQUAL(&a->u.in6.sin6_addr, &b->u.in6.sin6_addr)
		: a->u.in.sin_addr.s_addr == b->u.in.sin_addr.s_addr;
}

static bool is_path(const struct addr *a)
{
	return addr_is_unix(a->kind) && a->path[0] == '/';
}

static bool same_path(const struct endpoint *ep, const struct addr *a)
{
	if (ep->addr.kind == ADDR_FD)
		return ep->name.len && ep->name.u.sa.sa_family == AF_UNIX &&
		       strcmp(ep->name.u.un.sun_path, a->path) == 0;
	return is_path(&ep->addr) && strcmp(ep->addr.path, a->path) == 0;
}

static bool claims(const struct endpoint *ep, const struct addr_name *name)
{
	return ep->record >= 0 && addr_port(&ep->name) == addr_port(name) &&
	       (is_any(&ep->name) || is_any(name) ||
		same_host(&ep->name, name));
}

static bool in_the_way(const struct endpoint *ep, const struct addr *a,
		       const struct addr_name *name)
{
	if (is_path(a))
		return ep->record >= 0 && same_path(ep, a);
	return ep->addr.kind == a->kind && claims(ep, name);
}

struct endpoint *beside_find(struct usher *u, const struct addr_name *name,
			     enum endpoint_use use)
{
	struct endpoint *ep, *found = NULL;
	struct addr_name plain = *name;
	struct service *s;

	addr_unmap(&plain);
	TAILQ_FOREACH(s, &u->services, entry)
		TAILQ_FOREACH(ep, &s->endpoints, entry) {
			if (ep->use != use || ep->addr.kind != ADDR_TCP ||
			    !claims(ep, &plain))
				continue;
			if (same_host(&ep->name, &plain))
				return ep;
			found = ep;
		}
	return found;
}

const struct endpoint *beside_door(const struct usher *u, const struct addr *a,
				   const struct addr_name *name)
{
	const struct endpoint *ep, *found = NULL;
	const struct service *s;

	if (a->kind != ADDR_TCP && a->kind != ADDR_UDP && !is_path(a))
		return NULL;
	TAILQ_FOREACH(s, &u->services, entry)
		TAILQ_FOREACH(ep, &s->endpoints, entry)
			if (in_the_way(ep, a, name) && (!found || !ep->yields))
				found = ep;
	return found;
}

/* Two sockets with one and the same name are a group to the kernel, which
 * deals out to both: all to the second, which is the new one. */
static void prefer(int fd)
{
	struct sock_filter second = BPF_STMT(BPF_RET | BPF_K, 1);
	const struct sock_fprog program = { 1, &second };

	(void)setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program,
			 sizeof(program));
}

/* For the moment of a bind: what is in its way yields. How many there are. */
static int share(const struct usher *u, const struct addr *a,
		 const struct addr_name *name, bool on)
{
	int n = leaving_share(u, on);
	struct endpoint *ep;
	struct service *s;

	TAILQ_FOREACH(s, &u->services, entry)
		TAILQ_FOREACH(ep, &s->endpoints, entry) {
			if (!in_the_way(ep, a, name))
				continue;
			net_share_port(record_at(ep->record)->fd[0], on);
			ep->yielded = true;
			n++;
		}
	return n;
}

int beside_listen(struct usher *u, const struct addr *a,
		  const struct addr_name *name, const struct net_note *note,
		  char **aside)
{
	const struct endpoint *first = beside_door(u, a, name);
	int fd;

	if (first && !first->yields)
		return -EADDRINUSE;
	if (is_path(a))
		return first ? net_listen_aside(a, note, aside) : -EADDRINUSE;
	if (a->kind != ADDR_TCP && a->kind != ADDR_UDP)
		return -EADDRINUSE;
	fd = leaving_back(u, a, name, note);
	if (share(u, a, name, true) && fd < 0) {
		fd = net_listen_beside(a, name, note);
		if (fd >= 0 && a->kind == ADDR_TCP)
			prefer(fd);
	}
	share(u, a, name, false);
	return fd == -ENOENT ? -EADDRINUSE : fd;
}

void beside_put(struct endpoint *ep)
{
	if (!ep->aside)
		return;
	if (rename(ep->aside, ep->addr.path) < 0) {
		service_log(ep->service, LOG_LEVEL_ERROR,
			    "%s: can't take its place: %s", ep->addr.text,
			    strerror(errno));
		unlink(ep->aside);
	}
	free(TAKE(ep->aside));
}

bool beside_parts(const struct endpoint *ep)
{
	return ep->yielded && ep->record >= 0 && !ep->foreign &&
	       ep->addr.kind == ADDR_TCP;
}

void beside_part(const struct usher *u)
{
	const struct endpoint *ep;
	const struct service *s;

	TAILQ_FOREACH(s, &u->services, entry)
		TAILQ_FOREACH(ep, &s->endpoints, entry)
			if (beside_parts(ep))
				leaving_part(ep);
}

void beside_back(struct usher *u, struct endpoint *ep)
{
	ep->yielded = ep->addr.kind == ADDR_TCP &&
		      beside_find(u, &ep->name, ep->use);
	if (beside_parts(ep))
		leaving_part(ep);
}

void beside_end(const struct usher *u)
{
	struct endpoint *ep;
	struct service *s;

	TAILQ_FOREACH(s, &u->services, entry)
		TAILQ_FOREACH(ep, &s->endpoints, entry)
			ep->yields = ep->yielded = false;
}
