/*
 * proxy_header - PROXY protocol headers as bytes, version 1 and 2.
 *
 * After "The PROXY protocol, versions 1 & 2" (haproxy.org, 2020/03/05),
 * chapters 2.1 and 2.2. No sockets here: what came so far goes in, addresses
 * come out.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "inlet/proxy.h"

#define V1_MAX 107	/* with CR LF, chapter 2.1 */
#define V1_MIN 15	/* "PROXY UNKNOWN" CR LF */
#define V2_HEAD 16
#define V2_UNIX 108	/* of each path */

static const unsigned char signature[12] = "\r\n\r\n\0\r\nQUIT\n";
static const char v1_word[] = "PROXY ";

/* ---- version 1 ---- */

static bool read_ip(const char *word, int family, const char *port,
		    struct addr_name *out)
{
	int64_t n;

	/* Digits only, no leading zeros. */
	if ((port[0] == '0' && port[1]) || text_number(port, 0, 65535, &n) < 0)
		return false;
	memset(out, 0, sizeof(*out));
	out->u.sa.sa_family = (sa_family_t)family;
	if (family == AF_INET) {
		out->u.in.sin_port = htons((uint16_t)n);
		out->len = sizeof(out->u.in);
		return inet_pton(family, word, &out->u.in.sin_addr) == 1;
	}
	out->u.in6.sin6_port = htons((uint16_t)n);
	out->len = sizeof(out->u.in6);
	return inet_pton(family, word, &out->u.in6.sin6_addr) == 1;
}

static int split(char *line, char **words, int max)
{
	int n = 0;

	while (n < max && line)
		words[n++] = strsep(&line, " ");
	return line ? max + 1 : n;
}

static int v1_line(const unsigned char *p, size_t len, struct proxy_header *out)
{
	char line[V1_MAX + 1], *words[6];
	int family, n;

	if (memchr(p, 0, len))
		return -EBADMSG;
	memcpy(line, p, len - 2);
	line[len - 2] = 0;
	if (strcmp(line, "PROXY UNKNOWN") == 0 ||
	    strncmp(line, "PROXY UNKNOWN ", 14) == 0) {
		out->addresses = false;
		return 0;
	}
	n = split(line, words, 6);
	if (n != 6)
		return -EBADMSG;
	if (strcmp(words[1], "TCP4") == 0)
		family = AF_INET;
	else if (strcmp(words[1], "TCP6") == 0)
		family = AF_INET6;
	else
		return -EBADMSG;
	if (!read_ip(words[2], family, words[4], &out->source) ||
	    !read_ip(words[3], family, words[5], &out->destination))
		return -EBADMSG;
	out->addresses = true;
	return 0;
}

/* What must still come of a line without its end: each word that is missing
 * is a blank and a character at least. */
static size_t v1_wants(const unsigned char *p, size_t len)
{
	size_t blanks = 0;

	if (p[len - 1] == '\r')
		return 1;
	if (len < V1_MIN)
		return V1_MIN - len;
	if (memcmp(p, "PROXY U", 7) == 0)
		return 2;
	for (size_t i = 0; i < len; i++)
		blanks += p[i] == ' ';
	return blanks >= 5 ? 2 : 2 + 2 * (5 - blanks);
}

static int v1_parse(const unsigned char *p, size_t len,
		    struct proxy_header *out, size_t *want)
{
	size_t most = len < V1_MAX ? len : V1_MAX;
	const unsigned char *end = memchr(p, '\n', most);
	size_t line = end ? (size_t)(end - p) + 1 : 0;
	const unsigned char *cr = memchr(p, '\r', most);

	if (end && (line < 2 || cr != end - 1 || line < V1_MIN))
		return -EBADMSG;
	if (end)
		return v1_line(p, line, out) < 0 ? -EBADMSG : (int)line;
	/* A CR that is neither the last nor before LF, or no room for LF. */
	if ((cr && cr != p + len - 1) || len >= V1_MAX)
		return -EBADMSG;
	*want = v1_wants(p, len);
	if (*want > V1_MAX - len)
		*want = V1_MAX - len;
	return 0;
}

/* ---- version 2 ---- */

static void v2_in(const unsigned char *p, struct proxy_header *out)
{
	memset(out, 0, sizeof(*out));
	out->source.u.sa.sa_family = AF_INET;
	out->destination.u.sa.sa_family = AF_INET;
	memcpy(&out->source.u.in.sin_addr, p, 4);
	memcpy(&out->destination.u.in.sin_addr, p + 4, 4);
	memcpy(&out->source.u.in.sin_port, p + 8, 2);
	memcpy(&out->destination.u.in.sin_port, p + 10, 2);
	out->source.len = out->destination.len = sizeof(out->source.u.in);
}

static void v2_in6(const unsigned char *p, struct proxy_header *out)
{
	memset(out, 0, sizeof(*out));
	out->source.u.sa.sa_family = AF_INET6;
	out->destination.u.sa.sa_family = AF_INET6;
	memcpy(&out->source.u.in6.sin6_addr, p, 16);
	memcpy(&out->destination.u.in6.sin6_addr, p + 16, 16);
	memcpy(&out->source.u.in6.sin6_port, p + 32, 2);
	memcpy(&out->destination.u.in6.sin6_port, p + 34, 2);
	out->source.len = out->destination.len = sizeof(out->source.u.in6);
}

/* A path ends with NUL or fills its place; an abstract name begins with NUL
 * and its padding can't be told from it. */
static void unix_name(const unsigned char *p, struct addr_name *out)
{
	size_t n = p[0] ? strnlen((const char *)p, V2_UNIX) : V2_UNIX;

	while (!p[0] && n > 0 && !p[n - 1])
		n--;
	memset(out, 0, sizeof(*out));
	out->u.un.sun_family = AF_UNIX;
	memcpy(out->u.un.sun_path, p, n);
	out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	if (p[0] && n < V2_UNIX)
		out->len++;
}

static void v2_unix(const unsigned char *p, struct proxy_header *out)
{
	unix_name(p, &out->source);
	unix_name(p + V2_UNIX, &out->destination);
}

/* Family and transport, the size of their addresses. Without READ they are
 * accepted and the socket's own addresses hold. */
static const struct v2_kind {
	uint8_t byte;
	uint16_t size;
	void (*read)(const unsigned char *p, struct proxy_header *out);
} v2_kinds[] = {
	{ 0x00, 0, NULL },
	{ 0x11, 12, v2_in },
	{ 0x12, 12, NULL },	/* a datagram's: not this connection's */
	{ 0x21, 36, v2_in6 },
	{ 0x22, 36, NULL },
	{ 0x31, 2 * V2_UNIX, v2_unix },
	{ 0x32, 2 * V2_UNIX, NULL },
};

static const struct v2_kind *v2_kind(uint8_t byte)
{
	for (size_t i = 0; i < ARRAY_SIZE(v2_kinds); i++)
		if (v2_kinds[i].byte == byte)
			return &v2_kinds[i];
	return NULL;
}

static int v2_parse(const unsigned char *p, size_t len,
		    struct proxy_header *out, size_t *want)
{
	const struct v2_kind *kind;
	size_t total;
	bool local;

	if (len > 12 && (p[12] >> 4 != 2 || (p[12] & 15) > 1))
		return -EBADMSG;
	if (len < V2_HEAD) {
		*want = V2_HEAD - len;
		return 0;
	}
	local = (p[12] & 15) == 0;
	total = V2_HEAD + ((size_t)p[14] << 8 | p[15]);
	kind = v2_kind(p[13]);
	/* LOCAL: the receiver must take it whatever the family says. */
	if (!local && (!kind || total < (size_t)V2_HEAD + kind->size))
		return -EBADMSG;
	if (len < total) {
		*want = total - len;
		return 0;
	}
	if (!local && kind->read)
		kind->read(p + V2_HEAD, out);
	out->addresses = !local && kind->read;
	return (int)total;
}

/* ---- both ---- */

int proxy_parse(const unsigned char *p, size_t len, struct proxy_header *out,
		size_t *want)
{
	size_t n = len < sizeof(signature) ? len : sizeof(signature);
	size_t m = len < sizeof(v1_word) - 1 ? len : sizeof(v1_word) - 1;

	if (len == 0) {
		*want = V1_MIN;
		return 0;
	}
	if (memcmp(p, signature, n) == 0) {
		if (len >= sizeof(signature))
			return v2_parse(p, len, out, want);
		*want = V2_HEAD - len;
		return 0;
	}
	if (memcmp(p, v1_word, m) == 0)
		return v1_parse(p, len, out, want);
	return -EBADMSG;
}

static size_t v1_format(const struct addr_name *source,
			const struct addr_name *destination,
			unsigned char *buf)
{
	int family = source->u.sa.sa_family;
	char from[ADDR_TEXT], to[ADDR_TEXT];

	if (family != (int)destination->u.sa.sa_family ||
	    (family != AF_INET && family != AF_INET6))
		return (size_t)snprintf((char *)buf, PROXY_MAX,
					"PROXY UNKNOWN\r\n");
	if (family == AF_INET) {
		inet_ntop(family, &source->u.in.sin_addr, from, sizeof(from));
		inet_ntop(family, &destination->u.in.sin_addr, to, sizeof(to));
	} else {
		inet_ntop(family, &source->u.in6.sin6_addr, from,
			  sizeof(from));
		inet_ntop(family, &destination->u.in6.sin6_addr, to,
			  sizeof(to));
	}
	return (size_t)snprintf((char *)buf, PROXY_MAX,
				"PROXY TCP%d %s %s %u %u\r\n",
				family == AF_INET ? 4 : 6, from, to,
				addr_port(source), addr_port(destination));
}

static void put_unix(unsigned char *p, const struct addr_name *n)
{
	const size_t head = offsetof(struct sockaddr_un, sun_path);
	size_t path = n->len > head ? n->len - head : 0;

	memset(p, 0, V2_UNIX);
	memcpy(p, n->u.un.sun_path, path < V2_UNIX ? path : V2_UNIX);
}

static size_t v2_addresses(const struct addr_name *s,
			   const struct addr_name *d, unsigned char *p,
			   unsigned char *kind)
{
	int family = s->u.sa.sa_family;

	*kind = 0;
	if (family != d->u.sa.sa_family)
		return 0;
	if (family == AF_INET) {
		*kind = 0x11;
		memcpy(p, &s->u.in.sin_addr, 4);
		memcpy(p + 4, &d->u.in.sin_addr, 4);
		memcpy(p + 8, &s->u.in.sin_port, 2);
		memcpy(p + 10, &d->u.in.sin_port, 2);
		return 12;
	}
	if (family == AF_INET6) {
		*kind = 0x21;
		memcpy(p, &s->u.in6.sin6_addr, 16);
		memcpy(p + 16, &d->u.in6.sin6_addr, 16);
		memcpy(p + 32, &s->u.in6.sin6_port, 2);
		memcpy(p + 34, &d->u.in6.sin6_port, 2);
		return 36;
	}
	if (family != AF_UNIX)
		return 0;
	*kind = 0x31;
	put_unix(p, s);
	put_unix(p + V2_UNIX, d);
	return 2 * V2_UNIX;
}

size_t proxy_format(enum conf_proxy version, const struct addr_name *source,
		    const struct addr_name *destination, unsigned char *buf)
{
	size_t n;

	if (version == PROXY_V1)
		return v1_format(source, destination, buf);
	memcpy(buf, signature, sizeof(signature));
	buf[12] = 0x21;		/* version 2, PROXY */
	n = v2_addresses(source, destination, buf + V2_HEAD, &buf[13]);
	buf[14] = (unsigned char)(n >> 8);
	buf[15] = (unsigned char)n;
	return V2_HEAD + n;
}
