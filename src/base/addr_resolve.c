/*
 * addr_resolve - names of hosts and services to sockets' names.
 *
 * May block for as long as the system's resolver does; the loop goes through
 * base/resolve instead. "All addresses" needs no look-up: it is one IPv6
 * socket for both families, which net_listen opens for IPv4 where the machine
 * has no IPv6.
 */
#include "base/addr.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

/* The port as a number, network order, in *OUT. */
static int find_port(const struct addr *a, in_port_t *out, char **why)
{
	const char *proto = addr_kind_name(a->kind);
	struct servent se, *found = NULL;
	char buf[1024];

	if (isdigit((unsigned char)a->port[0]) &&
	    strspn(a->port, "0123456789") == strlen(a->port)) {
		*out = htons((uint16_t)atoi(a->port));
		return 0;
	}
	if (getservbyname_r(a->port, proto, &se, buf, sizeof(buf), &found) ||
	    !found) {
		*why = xasprintf("services(5) has no %s port '%s'; a number "
				 "would do", proto, a->port);
		return -ENOENT;
	}
	*out = (in_port_t)found->s_port;
	return 0;
}

static void add(struct addr *a, const struct sockaddr *sa, socklen_t len)
{
	struct addr_name *n;

	if (len > sizeof(n->u))
		return;
	/* /etc/hosts may name one address twice. */
	for (size_t i = 0; i < a->nnames; i++)
		if (a->names[i].len == len &&
		    memcmp(&a->names[i].u, sa, len) == 0)
			return;
	a->names = xrealloc(a->names, (a->nnames + 1) * sizeof(*a->names));
	n = &a->names[a->nnames++];
	memset(n, 0, sizeof(*n));
	memcpy(&n->u, sa, len);
	n->len = len;
}

static void add_in(struct addr *a, in_addr_t ip, in_port_t port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = port };

	in.sin_addr.s_addr = htonl(ip);
	add(a, (struct sockaddr *)&in, sizeof(in));
}

static void add_in6(struct addr *a, struct in6_addr ip, in_port_t port)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
				    .sin6_port = port,
				    .sin6_addr = ip };

	add(a, (struct sockaddr *)&in6, sizeof(in6));
}

/* No host: all addresses to bind, this machine's loopback to connect. */
static void add_all(struct addr *a, bool passive, in_port_t port)
{
	if (passive && a->family == AF_INET)
		add_in(a, INADDR_ANY, port);
	else if (passive)
		add_in6(a, in6addr_any, port);
	if (!passive && a->family != AF_INET)
		add_in6(a, in6addr_loopback, port);
	if (!passive && a->family != AF_INET6)
		add_in(a, INADDR_LOOPBACK, port);
}

static int lookup_error(int eai, int error)
{
	switch (eai) {
	case EAI_AGAIN:
		return -EAGAIN;
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_SYSTEM:
		return error ? -error : -EIO;
	case EAI_FAIL:
		return -EIO;
	default:
		return -ENOENT;
	}
}

static const char *family_word(int family)
{
	return family == AF_INET  ? "IPv4 " :
	       family == AF_INET6 ? "IPv6 " : "";
}

static int lookup(struct addr *a, in_port_t port, char **why)
{
	struct addrinfo hints = { .ai_family = a->family,
				  .ai_socktype = addr_socktype(a->kind) };
	struct addrinfo *list = NULL;
	int r = getaddrinfo(a->host, NULL, &hints, &list);

	if (r != 0) {
		int error = lookup_error(r, errno);

		if (r == EAI_AGAIN)
			*why = xasprintf("the name server does not answer for "
					 "'%s'; an address or a line in "
					 "/etc/hosts would do", a->host);
		else
			*why = xasprintf("host '%s' has no %saddress (%s)",
					 a->host, family_word(a->family),
					 gai_strerror(r));
		return error;
	}
	for (const struct addrinfo *ai = list; ai; ai = ai->ai_next) {
		if (ai->ai_family == AF_INET)
			((struct sockaddr_in *)ai->ai_addr)->sin_port = port;
		else if (ai->ai_family == AF_INET6)
			((struct sockaddr_in6 *)ai->ai_addr)->sin6_port = port;
		else
			continue;
		add(a, ai->ai_addr, ai->ai_addrlen);
	}
	freeaddrinfo(list);
	return a->nnames > 0 ? 0 : -ENOENT;
}

int addr_resolve(struct addr *a, bool passive, char **why)
{
	in_port_t port;
	int r;

	*why = NULL;
	if (addr_is_unix(a->kind))
		return 0;
	if (!a->port) {
		*why = xasprintf("%s: has no socket's name",
				 addr_kind_name(a->kind));
		return -EINVAL;
	}
	free(a->names);
	a->names = NULL;
	a->nnames = 0;
	r = find_port(a, &port, why);
	if (r < 0)
		return r;
	if (!a->host) {
		add_all(a, passive, port);
		return 0;
	}
	r = lookup(a, port, why);
	if (r < 0 && !*why)
		*why = xasprintf("host '%s' has no address", a->host);
	return r;
}
