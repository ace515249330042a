/*
 * doors - names of doors, and who has them; see doors.h.
 *
 * The kernel's rules (ip(7), unix(7), and what was seen): a port of all
 * addresses leaves no room for the same port of one address, and the other way
 * round; a path is a path, whatever kind of socket or FIFO lies there. A name
 * of a host counts by its addresses, where they were looked up. Doors of one
 * interface are only held against those of the same.
 */
#include "conf/doors.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

/* A name, and the first door that took it. */
struct claim {
	char *name;
	struct door door;
};

/* The door that has NAME already, or NULL; then D has it. */
static const struct door *take(struct load *l, const struct door *d, char *name)
{
	struct claim *c = names_get(&l->doors, name);

	if (c) {
		free(name);
		return &c->door;
	}
	c = xmalloc(sizeof(*c));
	*c = (struct claim){ name, *d };
	names_put(&l->doors, c->name, c);
	return NULL;
}

/* The door that has NAME, or NULL. */
static const struct door *who(struct load *l, char *name)
{
	CLEANUP(freep) char *owned = name;
	struct claim *c = names_get(&l->doors, owned);

	return c ? &c->door : NULL;
}

static bool is_any(const struct addr_name *n)
{
	return n->u.sa.sa_family == AF_INET6
		? IN6_IS_ADDR_UNSPECIFIED(&n->u.in6.sin6_addr)
		: n->u.in.sin_addr.s_addr == 0;
}

/* "tcp 80 any 4": what all doors of that port and family are held against. */
static char *port_name(const struct addr *a, const struct addr_name *n,
		       const char *word, int family)
{
	return xasprintf("%s %u %s %d", addr_kind_name(a->kind),
			 (unsigned)addr_port(n), word, family);
}

/* NAME of A, on all interfaces, against those of the other extent. */
static const struct door *take_port(struct load *l, const struct door *d,
				    const struct addr *a,
				    const struct addr_name *n)
{
	bool any = is_any(n), six = n->u.sa.sa_family == AF_INET6;
	bool both = any && six && !addr_is_v6only(a);
	const struct door *has = NULL, *had;

	for (int family = 4; family <= 6; family += 2) {
		if (family != (six ? 6 : 4) && !both)
			continue;
		had = who(l, port_name(a, n, any ? "one" : "any", family));
		has = has ? has : had;
		had = take(l, d, port_name(a, n, any ? "any" : "one", family));
		if (any)	/* of the ones there may be many */
			has = has ? has : had;
	}
	return has;
}

static const struct door *take_inet(struct load *l, const struct door *d,
				    const struct addr *a,
				    const struct addr_name *n)
{
	const char *interface = a->opt.interface;
	const struct door *has = NULL, *had;
	char text[ADDR_TEXT];

	if (addr_port(n) == 0)
		return NULL;
	if (!interface)
		has = take_port(l, d, a, n);
	had = take(l, d, xasprintf("%s %s%s%s", addr_kind_name(a->kind),
				   addr_print(n, text, sizeof(text)),
				   interface ? " " : "",
				   interface ? interface : ""));
	/* [::] of IPv6 alone beside 0.0.0.0, and so on, were told by family. */
	return has ? has : is_any(n) && !interface ? NULL : had;
}

/* PATH with single slashes and without /./ */
static char *plain_path(const char *directory, const char *path)
{
	char *s = xasprintf("path %s%s%s", directory, *directory ? "/" : "",
			    path);
	char *to = s;

	for (const char *p = s; *p; p++) {
		while (p[0] == '/' && (p[1] == '/' ||
				       (p[1] == '.' && p[2] == '/')))
			p += p[1] == '/' ? 1 : 2;
		*to++ = *p;
	}
	*to = '\0';
	return s;
}

const struct door *doors_take(struct load *l, const struct door *d,
			      const struct addr *a, const char *spool)
{
	const char *interface = a->opt.interface;
	const struct door *has, *had;

	/* What is written the same is the same, whatever it means. */
	has = take(l, d, xasprintf("= %s %s", a->text,
				   interface ? interface : ""));
	if (has)
		return has;
	if (a->kind == ADDR_FIFO)
		return take(l, d, plain_path(*a->path == '/' ? "" : spool,
					     a->path));
	if (addr_is_unix(a->kind) && *a->path == '/')
		return take(l, d, plain_path("", a->path));
	if (addr_is_unix(a->kind))
		return take(l, d, xasprintf("%s %d", a->path,
					    addr_socktype(a->kind)));
	for (size_t i = 0; i < a->nnames; i++) {
		had = take_inet(l, d, a, &a->names[i]);
		has = has ? has : had;
	}
	return has;
}

static void free_claim(void *value)
{
	struct claim *c = value;

	free(c->name);
	free(c);
}

void doors_free(struct load *l)
{
	names_each(&l->doors, free_claim);
	names_free(&l->doors);
}
