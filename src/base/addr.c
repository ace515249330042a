/*
 * addr - the words of an address: parsed, copied, compared.
 *
 * Kinds and options are two tables; a mistake is answered with what would do.
 * Options are in addr_options.c, socket names and CIDRs in addr_print.c,
 * getaddrinfo in addr_resolve.c.
 */
#include "base/addr.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/addr_parse.h"
#include "base/text.h"

static const struct {
	const char *word;
	enum addr_kind kind;
	int family;
} words[] = {
	{ "tcp", ADDR_TCP, AF_UNSPEC },
	{ "tcp4", ADDR_TCP, AF_INET },
	{ "tcp6", ADDR_TCP, AF_INET6 },
	{ "udp", ADDR_UDP, AF_UNSPEC },
	{ "udp4", ADDR_UDP, AF_INET },
	{ "udp6", ADDR_UDP, AF_INET6 },
	{ "unix", ADDR_UNIX, AF_UNIX },
	{ "unix-seqpacket", ADDR_UNIX_SEQPACKET, AF_UNIX },
	{ "unix-dgram", ADDR_UNIX_DGRAM, AF_UNIX },
	{ "unix-pass", ADDR_UNIX_PASS, AF_UNIX },
	{ "fifo", ADDR_FIFO, AF_UNSPEC },
	{ "fd", ADDR_FD, AF_UNSPEC },
};

#define KINDS "tcp:HOST:PORT, unix:/PATH, unix:@NAME, fifo:NAME or another"

static const struct {
	const char *name;
	int socktype;
} kinds[] = {
	[ADDR_TCP] = { "tcp", SOCK_STREAM },
	[ADDR_UDP] = { "udp", SOCK_DGRAM },
	[ADDR_UNIX] = { "unix", SOCK_STREAM },
	[ADDR_UNIX_SEQPACKET] = { "unix-seqpacket", SOCK_SEQPACKET },
	[ADDR_UNIX_DGRAM] = { "unix-dgram", SOCK_DGRAM },
	[ADDR_UNIX_PASS] = { "unix-pass", SOCK_STREAM },
	[ADDR_FIFO] = { "fifo", 0 },
	[ADDR_FD] = { "fd", 0 },
};

const char *addr_kind_name(enum addr_kind kind)
{
	return kinds[kind].name;
}

int addr_socktype(enum addr_kind kind)
{
	return kinds[kind].socktype;
}

bool addr_is_unix(enum addr_kind kind)
{
	return kind >= ADDR_UNIX && kind <= ADDR_UNIX_PASS;
}

int addr_wrong(char **why, char *text)
{
	*why = text;
	return -EINVAL;
}

/* The kind's word before the colon; what follows goes to *REST. */
static int parse_kind(struct addr *a, const char *s, const char **rest,
		      char **why)
{
	const char *list[ARRAY_SIZE(words)], *near;
	size_t len = strcspn(s, ":");
	CLEANUP(freep) char *word = xstrndup(s, len);

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		list[i] = words[i].word;
		if (strcmp(word, words[i].word) != 0 || s[len] != ':')
			continue;
		a->kind = words[i].kind;
		a->family = words[i].family;
		*rest = s + len + 1;
		return 0;
	}
	if (*s == '/' || *s == '@')
		return addr_wrong(why, xasprintf("'%s' has no kind; unix:%s "
						 "would do", s, s));
	if (s[len] != ':')
		return addr_wrong(why, xasprintf("'%s' is no address; " KINDS
						 " would do", s));
	near = text_nearest(word, list, ARRAY_SIZE(list));
	if (near)
		return addr_wrong(why, xasprintf("no kind of address '%s'; "
						 "%s: would do", word, near));
	return addr_wrong(why, xasprintf("no kind of address '%s'; " KINDS
					 " would do", word));
}

/* HOST's text when it is an IPv4 address, canonical. */
static bool literal4(struct addr *a, const char *host)
{
	struct in_addr in;

	if (inet_pton(AF_INET, host, &in) != 1)
		return false;
	a->host = xstrdup(host);
	a->family = AF_INET;
	return true;
}

/* IPv6, perhaps with a %scope; canonical. What IPv4 hides in becomes IPv4. */
static bool literal6(struct addr *a, const char *host)
{
	size_t len = strcspn(host, "%");
	CLEANUP(freep) char *bare = xstrndup(host, len);
	char buf[INET6_ADDRSTRLEN];
	struct in6_addr in6;

	if (inet_pton(AF_INET6, bare, &in6) != 1 ||
	    (host[len] && !host[len + 1]))
		return false;
	if (IN6_IS_ADDR_V4MAPPED(&in6)) {
		inet_ntop(AF_INET, &in6.s6_addr[12], buf, sizeof(buf));
		a->host = xstrdup(buf);
		a->family = AF_INET;
		return true;
	}
	inet_ntop(AF_INET6, &in6, buf, sizeof(buf));
	a->host = xasprintf("%s%s", buf, host + len);
	a->family = AF_INET6;
	return true;
}

/* Letters, digits, dash, dot and underscore: what a name of a host has. */
static bool host_name(const char *s)
{
	size_t len = strlen(s);

	if (len == 0 || len > 253 || *s == '-' || *s == '.')
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("-._", *s))
			return false;
	return true;
}

/* Takes HOST, as it stood between brackets or not. */
static int parse_host(struct addr *a, const char *host, bool brackets,
		      char **why)
{
	const char *kind = addr_kind_name(a->kind);
	int wanted = a->family;

	if (!brackets && (!*host || strcmp(host, "*") == 0))
		return 0;
	if (brackets && !literal6(a, host))
		return addr_wrong(why, xasprintf("'%s' is no IPv6 address; "
			"between brackets stands one, as [2001:db8::1]",
			host));
	if (!brackets && strchr(host, ':'))
		return addr_wrong(why, xasprintf("an IPv6 address goes in "
			"brackets; %s:[2001:db8::1]:PORT would do", kind));
	if (!brackets && !literal4(a, host)) {
		/* What looks like numbers and is none is no name either. */
		if (!host_name(host) ||
		    strspn(host, "0123456789.") == strlen(host))
			return addr_wrong(why, xasprintf("'%s' is no host; "
				"an address, a name or * would do", host));
		a->host = xstrdup(host);
	}
	if (wanted != AF_UNSPEC && a->family != wanted)
		return addr_wrong(why, xasprintf("%s is an IPv%c address; "
			"%s%c: or %s: would do", host,
			a->family == AF_INET ? '4' : '6', kind,
			a->family == AF_INET ? '4' : '6', kind));
	return 0;
}

static int parse_port(struct addr *a, const char *port, char **why)
{
	int64_t n;
	int r;

	if (!*port)
		return addr_wrong(why, xasprintf("no port; %s:HOST:PORT would "
			"do, with * as HOST for all",
			addr_kind_name(a->kind)));
	r = text_number(port, 0, 65535, &n);
	if (r == 0) {
		a->port = xasprintf("%d", (int)n);
		return 0;
	}
	if (r == -ERANGE)
		return addr_wrong(why, xasprintf("no port %s; 1 to 65535 would "
						 "do", port));
	for (const char *p = port; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("-_.+", *p))
			return addr_wrong(why, xasprintf("'%s' is no port; a "
				"number or a name from services(5) would do",
				port));
	a->port = xstrdup(port);
	return 0;
}

/* WORD is the kind as it was written. */
static void print_inet(struct addr *a, const char *word, size_t len)
{
	bool six = a->host && strchr(a->host, ':');

	a->text = xasprintf("%.*s:%s%s%s:%s", (int)len, word, six ? "[" : "",
			    a->host ? a->host : "*", six ? "]" : "", a->port);
}

static int parse_inet(struct addr *a, const char *rest, char **why)
{
	bool brackets = *rest == '[';
	const char *end = brackets ? strchr(rest, ']') : strrchr(rest, ':');
	CLEANUP(freep) char *host = NULL;
	int r;

	if (brackets && (!end || end[1] != ':'))
		return addr_wrong(why, xasprintf("'%s' lacks %s; "
			"[2001:db8::1]:PORT would do", rest,
			end ? "a port" : "its ]"));
	if (!end)
		return addr_wrong(why, xasprintf("'%s' has no host or no port; "
			"%s:*:PORT is all addresses", rest,
			addr_kind_name(a->kind)));
	host = xstrndup(rest + brackets, (size_t)(end - rest) - brackets);
	r = parse_host(a, host, brackets, why);
	if (r < 0)
		return r;
	return parse_port(a, end + 1 + brackets, why);
}

static void name_unix(struct addr *a)
{
	struct addr_name *n = xcalloc(1, sizeof(*n));
	size_t len = strlen(a->path);

	n->u.un.sun_family = AF_UNIX;
	memcpy(n->u.un.sun_path, a->path, len);
	n->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	if (a->path[0] == '@')
		n->u.un.sun_path[0] = '\0';
	else
		n->len++;
	a->names = n;
	a->nnames = 1;
}

/* A path's last byte for a NUL, an abstract name's first. */
#define UNIX_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)

static int parse_unix(struct addr *a, const char *rest, char **why)
{
	const char *kind = addr_kind_name(a->kind);
	size_t len = strlen(rest), max = UNIX_MAX + (*rest == '@');

	if (*rest != '/' && *rest != '@')
		return addr_wrong(why, xasprintf("'%s' is no absolute path; "
			"%s:/PATH or %s:@NAME would do", rest, kind, kind));
	if (len < 2 || (*rest == '/' && rest[len - 1] == '/'))
		return addr_wrong(why, xasprintf("'%s' names no socket; "
			"%s:/PATH or %s:@NAME would do", rest, kind, kind));
	if (len > max)
		return addr_wrong(why, xasprintf("a path of %zu bytes; the "
			"kernel takes %zu at most", len, max));
	a->path = xstrdup(rest);
	name_unix(a);
	return 0;
}

static int parse_fifo(struct addr *a, const char *rest, char **why)
{
	size_t len = strlen(rest);

	if (len == 0 || rest[len - 1] == '/' || strcmp(rest, ".") == 0 ||
	    strcmp(rest, "..") == 0 || (*rest != '/' && strchr(rest, '/')))
		return addr_wrong(why, xasprintf("'%s' names no FIFO; "
			"fifo:NAME (in the spool) or fifo:/PATH would do",
			rest));
	if (len >= PATH_MAX || (*rest != '/' && len > NAME_MAX))
		return addr_wrong(why, xasprintf("a path of %zu bytes; %d at "
			"most would do", len,
			*rest == '/' ? PATH_MAX - 1 : NAME_MAX));
	a->path = xstrdup(rest);
	return 0;
}

bool addr_fd_name(const char *s)
{
	size_t len = strlen(s);

	return len > 0 && len <= 255 && !strchr(s, ':') &&
	       text_printable(s, len) && !strchr(s, '\t');
}

static int parse_fd(struct addr *a, const char *rest, char **why)
{
	if (!addr_fd_name(rest))
		return addr_wrong(why, xasprintf("'%s' names no descriptor; "
			"fd:NAME without a colon, 255 bytes at most, would do",
			rest));
	a->path = xstrdup(rest);
	return 0;
}

/* The address's own word, without options. */
static int parse_address(struct addr *a, const char *s, char **why)
{
	CLEANUP(strv_free) struct strv one = { 0 };
	const char *rest = NULL;
	int r;

	r = parse_kind(a, s, &rest, why);
	if (r < 0)
		return r;
	if (a->kind == ADDR_TCP || a->kind == ADDR_UDP)
		r = parse_inet(a, rest, why);
	else if (addr_is_unix(a->kind))
		r = parse_unix(a, rest, why);
	else if (a->kind == ADDR_FIFO)
		r = parse_fifo(a, rest, why);
	else
		r = parse_fd(a, rest, why);
	if (r < 0)
		return r;
	if (a->port) {
		print_inet(a, s, (size_t)(rest - s) - 1);
	} else {
		/* Quoted where a path has blanks, so that it parses again. */
		strv_push(&one, xstrdup(s));
		a->text = text_join(&one);
	}
	return 0;
}

int addr_parse(const char *s, struct addr *out, char **why)
{
	CLEANUP(strv_free) struct strv sv = { 0 };
	CLEANUP(addr_free) struct addr a = { 0 };
	int r;

	*why = NULL;
	addr_options_init(&a.opt);
	r = text_split(s, &sv);
	if (r < 0)
		return addr_wrong(why, xasprintf("'%s': %s", s,
						 text_split_why(r)));
	if (sv.n == 0)
		return addr_wrong(why, xstrdup("no address; " KINDS
					       " would do"));
	r = parse_address(&a, sv.v[0], why);
	if (r < 0)
		return r;
	r = addr_options_parse(&a, sv.v + 1, sv.n - 1, why);
	if (r < 0)
		return r;
	*out = a;
	a = (struct addr){ 0 };
	return 0;
}

void addr_free(struct addr *a)
{
	free(a->host);
	free(a->port);
	free(a->path);
	free(a->text);
	free(a->names);
	free(a->opt.name);
	free(a->opt.owner);
	free(a->opt.group);
	free(a->opt.interface);
	free(a->opt.source);
	*a = (struct addr){ 0 };
}

static char *copy(const char *s)
{
	return s ? xstrdup(s) : NULL;
}

void addr_copy(struct addr *to, const struct addr *from)
{
	*to = *from;
	to->host = copy(from->host);
	to->port = copy(from->port);
	to->path = copy(from->path);
	to->text = copy(from->text);
	to->opt.name = copy(from->opt.name);
	to->opt.owner = copy(from->opt.owner);
	to->opt.group = copy(from->opt.group);
	to->opt.interface = copy(from->opt.interface);
	to->opt.source = copy(from->opt.source);
	to->names = NULL;
	if (from->nnames > 0) {
		size_t size = from->nnames * sizeof(*from->names);

		to->names = memcpy(xmalloc(size), from->names, size);
	}
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_names(const struct addr *a, const struct addr *b)
{
	if (a->nnames == 0 || a->nnames != b->nnames)
		return false;
	for (size_t i = 0; i < a->nnames; i++)
		if (a->names[i].len != b->names[i].len ||
		    memcmp(&a->names[i].u, &b->names[i].u,
			   a->names[i].len) != 0)
			return false;
	return true;
}

bool addr_same(const struct addr *a, const struct addr *b)
{
	if (a->kind != b->kind || a->family != b->family)
		return false;
	if (!a->port)
		return same_text(a->path, b->path);
	/* A port's name and number are one door, once they are resolved. */
	if (same_names(a, b))
		return true;
	return same_text(a->port, b->port) &&
	       (a->host == b->host ||
		(a->host && b->host && strcasecmp(a->host, b->host) == 0));
}

bool addr_is_v6only(const struct addr *a)
{
	bool dual = !a->host && a->family == AF_UNSPEC;

	return a->opt.v6only == ADDR_UNSET ? !dual
					   : a->opt.v6only == ADDR_YES;
}

bool addr_same_bound(const struct addr *a, const struct addr *b)
{
	return addr_is_v6only(a) == addr_is_v6only(b) &&
	       (a->opt.freebind == ADDR_YES) ==
		       (b->opt.freebind == ADDR_YES) &&
	       same_text(a->opt.interface, b->opt.interface);
}
