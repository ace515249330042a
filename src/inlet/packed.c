/*
 * packed - who a connection's peer is, in few bytes; see packed.h.
 */
#include "inlet/packed.h"

#include <string.h>

static void pack(struct packed *p, const struct addr_name *n)
{
	memset(p, 0, sizeof(*p));
	p->family = n->u.sa.sa_family;
	if (p->family == AF_INET) {
		p->port = n->u.in.sin_port;
		memcpy(p->ip, &n->u.in.sin_addr, 4);
	} else if (p->family == AF_INET6) {
		p->port = n->u.in6.sin6_port;
		p->scope = n->u.in6.sin6_scope_id;
		memcpy(p->ip, &n->u.in6.sin6_addr, 16);
	} else {
		p->cred.uid = (uid_t)-1;
	}
}

static void unpack(const struct packed *p, struct addr_name *n)
{
	memset(n, 0, sizeof(*n));
	n->u.sa.sa_family = p->family;
	if (p->family == AF_INET) {
		n->u.in.sin_port = p->port;
		memcpy(&n->u.in.sin_addr, p->ip, 4);
		n->len = sizeof(n->u.in);
	} else if (p->family == AF_INET6) {
		n->u.in6.sin6_port = p->port;
		n->u.in6.sin6_scope_id = p->scope;
		memcpy(&n->u.in6.sin6_addr, p->ip, 16);
		n->len = sizeof(n->u.in6);
	} else {
		n->u.sa.sa_family = AF_UNIX;
		n->len = sizeof(sa_family_t);
	}
}

void packed_peer(struct packed *p, const struct conn *c)
{
	pack(p, &c->peer);
	if (c->is_unix && c->has_cred)
		p->cred = c->cred;
}

void packed_local(struct packed *p, const struct conn *c)
{
	pack(p, &c->local);
}

void packed_to_peer(const struct packed *p, struct conn *c)
{
	unpack(p, &c->peer);
	c->is_unix = c->peer.u.sa.sa_family == AF_UNIX;
	c->has_cred = c->is_unix && p->cred.uid != (uid_t)-1;
	if (c->has_cred)
		c->cred = p->cred;
}

void packed_to_local(const struct packed *p, struct conn *c)
{
	unpack(p, &c->local);
}
