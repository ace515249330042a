/*
 * addr_print - socket names as people write them, and networks (CIDR).
 *
 * A peer that a dual-stack socket shows as ::ffff:192.0.2.1 is 192.0.2.1
 * here, printed and matched.
 */
#include "base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

void addr_unmap(struct addr_name *n)
{
	struct sockaddr_in in = { .sin_family = AF_INET };

	if (n->len < sizeof(n->u.in6) || n->u.sa.sa_family != AF_INET6 ||
	    !IN6_IS_ADDR_V4MAPPED(&n->u.in6.sin6_addr))
		return;
	in.sin_port = n->u.in6.sin6_port;
	memcpy(&in.sin_addr, &n->u.in6.sin6_addr.s6_addr[12], 4);
	memset(&n->u, 0, sizeof(n->u));
	n->u.in = in;
	n->len = sizeof(n->u.in);
}

uint16_t addr_port(const struct addr_name *n)
{
	if (n->len >= sizeof(n->u.in) && n->u.sa.sa_family == AF_INET)
		return ntohs(n->u.in.sin_port);
	if (n->len >= sizeof(n->u.in6) && n->u.sa.sa_family == AF_INET6)
		return ntohs(n->u.in6.sin6_port);
	return 0;
}

static void print_in6(const struct sockaddr_in6 *in6, char *buf, size_t len)
{
	char host[INET6_ADDRSTRLEN], name[IF_NAMESIZE];

	inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
	if (in6->sin6_scope_id == 0)
		snprintf(buf, len, "%s", host);
	else if (if_indextoname(in6->sin6_scope_id, name))
		snprintf(buf, len, "%s%%%s", host, name);
	else
		snprintf(buf, len, "%s%%%u", host, in6->sin6_scope_id);
}

/* A path ends at its NUL, an abstract name with its length. What is not
 * printable in it (the name is the peer's choice) shows as '?'. */
static void print_unix(const struct addr_name *n, char *buf, size_t len)
{
	const size_t head = offsetof(struct sockaddr_un, sun_path);
	size_t size = n->len > head ? n->len - head : 0, i = 0, at = 0;
	const char *path = n->u.un.sun_path;

	if (size > sizeof(n->u.un.sun_path))
		size = sizeof(n->u.un.sun_path);
	if (size > 1 && path[0] == '\0' && at + 1 < len) {
		buf[at++] = '@';
		i = 1;
	} else {
		size = strnlen(path, size);
	}
	for (; i < size && at + 1 < len; i++) {
		unsigned char c = (unsigned char)path[i];

		buf[at++] = c < ' ' || c == 0x7f ? '?' : (char)c;
	}
	buf[at] = '\0';
}

/* By hand: this is done for every connection, and the C library's printf is
 * most of its cost. */
static void print_in(const struct in_addr *a, char *buf, size_t len)
{
	const uint8_t *b = (const void *)a;
	char *p = buf;

	if (len < INET_ADDRSTRLEN)
		return;
	for (int i = 0; i < 4; i++) {
		if (b[i] >= 100)
			*p++ = (char)('0' + b[i] / 100);
		if (b[i] >= 10)
			*p++ = (char)('0' + b[i] / 10 % 10);
		*p++ = (char)('0' + b[i] % 10);
		*p++ = '.';
	}
	p[-1] = '\0';
}

const char *addr_print_host(const struct addr_name *n, char *buf, size_t len)
{
	struct addr_name plain = *n;

	addr_unmap(&plain);
	buf[0] = '\0';
	if (plain.len < sizeof(sa_family_t))
		return buf;
	switch (plain.u.sa.sa_family) {
	case AF_INET:
		print_in(&plain.u.in.sin_addr, buf, len);
		break;
	case AF_INET6:
		print_in6(&plain.u.in6, buf, len);
		break;
	case AF_UNIX:
		print_unix(&plain, buf, len);
		break;
	}
	return buf;
}

const char *addr_print(const struct addr_name *n, char *buf, size_t len)
{
	char host[ADDR_TEXT];

	addr_print_host(n, host, sizeof(host));
	if (n->len < sizeof(sa_family_t))
		snprintf(buf, len, "unknown");
	else if (n->u.sa.sa_family == AF_UNIX)
		snprintf(buf, len, "unix:%s", host);
	else if (strchr(host, ':'))
		snprintf(buf, len, "[%s]:%u", host, addr_port(n));
	else
		snprintf(buf, len, "%s:%u", host, addr_port(n));
	return buf;
}

/* Clears what is beyond the prefix. */
static void mask(struct addr_cidr *c, int bytes)
{
	for (int i = 0; i < bytes; i++) {
		int keep = c->prefix - 8 * i;

		if (keep <= 0)
			c->bytes[i] = 0;
		else if (keep < 8)
			c->bytes[i] &= (uint8_t)(0xff << (8 - keep));
	}
}

int addr_cidr_parse(const char *s, struct addr_cidr *out)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	size_t len = strcspn(s, "/");
	CLEANUP(freep) char *host = xstrndup(s, len);
	struct addr_cidr c = { 0 };
	int64_t prefix;
	int bits, r;

	c.family = strchr(host, ':') ? AF_INET6 : AF_INET;
	bits = c.family == AF_INET ? 32 : 128;
	if (inet_pton(c.family, host, c.bytes) != 1)
		return -EINVAL;
	prefix = bits;
	if (s[len] == '/') {
		r = text_number(s + len + 1, 0, bits, &prefix);
		if (r < 0)
			return r;
	}
	if (c.family == AF_INET6 && prefix >= 96 &&
	    memcmp(c.bytes, mapped, sizeof(mapped)) == 0) {
		c.family = AF_INET;
		memmove(c.bytes, c.bytes + 12, 4);
		memset(c.bytes + 4, 0, 12);
		prefix -= 96;
	}
	c.prefix = (uint8_t)prefix;
	mask(&c, 16);
	*out = c;
	return 0;
}

bool addr_cidr_match(const struct addr_cidr *c, const struct addr_name *n)
{
	struct addr_name plain = *n;
	const uint8_t *bytes;
	int whole = c->prefix / 8, rest = c->prefix % 8;

	addr_unmap(&plain);
	if (plain.len < sizeof(plain.u.in) ||
	    plain.u.sa.sa_family != c->family)
		return false;
	bytes = c->family == AF_INET ?
		(const uint8_t *)&plain.u.in.sin_addr :
		plain.u.in6.sin6_addr.s6_addr;
	if (memcmp(bytes, c->bytes, (size_t)whole) != 0)
		return false;
	return rest == 0 || (bytes[whole] ^ c->bytes[whole]) >> (8 - rest) == 0;
}

const char *addr_cidr_print(const struct addr_cidr *c, char *buf, size_t len)
{
	char host[INET6_ADDRSTRLEN];

	inet_ntop(c->family, c->bytes, host, sizeof(host));
	if (c->prefix == (c->family == AF_INET ? 32 : 128))
		snprintf(buf, len, "%s", host);
	else
		snprintf(buf, len, "%s/%u", host, c->prefix);
	return buf;
}
