/*
 * addr_options - what may follow an address: option=value.
 *
 * One table says for each option which kinds it fits, how its value is read
 * and what would do. What does not fit is refused: an option that silently
 * does nothing is worse than none.
 */
#include "base/addr_parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

/* Sets of kinds. */
#define BIT(kind)   (1u << (kind))
#define TCP	    BIT(ADDR_TCP)
#define INET	    (TCP | BIT(ADDR_UDP))
#define UNIX_STREAM (BIT(ADDR_UNIX) | BIT(ADDR_UNIX_SEQPACKET) | \
		     BIT(ADDR_UNIX_PASS))
#define UNIX	    (UNIX_STREAM | BIT(ADDR_UNIX_DGRAM))
#define FD	    BIT(ADDR_FD)
#define PATHS	    (UNIX | BIT(ADDR_FIFO))
#define SOCKETS	    (INET | UNIX | FD)
#define ALL	    (SOCKETS | BIT(ADDR_FIFO))

/* Reads V into the option at P; 0, or -errno as text_ does. */
typedef int read_fn(const char *v, void *p);

static int read_string(const char *v, void *p)
{
	*(char **)p = xstrdup(v);
	return *v ? 0 : -EINVAL;
}

static int read_name(const char *v, void *p)
{
	*(char **)p = xstrdup(v);
	return addr_fd_name(v) ? 0 : -EINVAL;
}

/* IF_NAMESIZE has the NUL in it. */
static int read_interface(const char *v, void *p)
{
	*(char **)p = xstrdup(v);
	return *v && strlen(v) < IF_NAMESIZE && !strchr(v, '/') ? 0 : -EINVAL;
}

static int read_source(const char *v, void *p)
{
	struct in6_addr in;

	*(char **)p = xstrdup(v);
	return inet_pton(AF_INET, v, &in) == 1 ||
	       inet_pton(AF_INET6, v, &in) == 1 ? 0 : -EINVAL;
}

static int read_mode(const char *v, void *p)
{
	int mode = 0;

	if (!*v || strspn(v, "01234567") != strlen(v))
		return -EINVAL;
	for (; *v; v++) {
		mode = mode * 8 + *v - '0';
		if (mode > 0777)
			return -ERANGE;
	}
	*(int *)p = mode;
	return 0;
}

static int read_int(const char *v, void *p)
{
	int64_t n;
	int r = text_number(v, 1, INT_MAX, &n);

	if (r == 0)
		*(int *)p = (int)n;
	return r;
}

static int read_size(const char *v, void *p)
{
	uint64_t n;
	int r = text_size(v, &n);

	if (r < 0)
		return r;
	if (n == 0 || n > INT_MAX)
		return -ERANGE;
	*(int64_t *)p = (int64_t)n;
	return 0;
}

static int read_bool(const char *v, void *p)
{
	bool b;
	int r = text_bool(v, &b);

	if (r == 0)
		*(int8_t *)p = b ? ADDR_YES : ADDR_NO;
	return r;
}

/* P is the first of three ints. The limits are the kernel's (tcp(7)). */
static int read_keepalive(const char *v, void *p)
{
	static const int max[] = { 32767, 32767, 127 };
	struct addr_options *o =
		CONTAINER_OF(p, struct addr_options, keep_idle);
	int *to[] = { &o->keep_idle, &o->keep_intvl, &o->keep_count };

	for (int i = 0; i < 3; i++) {
		size_t len = strcspn(v, ",");
		CLEANUP(freep) char *word = xstrndup(v, len);
		int64_t n;
		int r = text_number(word, 1, max[i], &n);

		if (r < 0)
			return r;
		if ((v[len] == ',') != (i < 2))
			return -EINVAL;
		*to[i] = (int)n;
		v += len + 1;
	}
	return 0;
}

#define OPTION(name, member, kinds, read, hint) \
	{ name, offsetof(struct addr_options, member), kinds, read, hint }

#define YES_NO "yes or no"

static const struct option {
	const char *name;
	size_t offset;
	unsigned int kinds;
	read_fn *read;
	const char *hint;	/* ... would do */
} options[] = {
	OPTION("name", name, ALL, read_name,
	       "a name without a colon, 255 bytes at most,"),
	OPTION("mode", mode, PATHS, read_mode, "an octal mode as 0660"),
	OPTION("owner", owner, PATHS, read_string, "a user's name or number"),
	OPTION("group", group, PATHS, read_string, "a group's name or number"),
	OPTION("backlog", backlog, TCP | UNIX_STREAM | FD, read_int,
	       "a number from 1"),
	OPTION("v6only", v6only, INET, read_bool, YES_NO),
	OPTION("freebind", freebind, INET, read_bool, YES_NO),
	OPTION("interface", interface, INET, read_interface,
	       "an interface's name as eth0"),
	OPTION("defer", defer, TCP | FD, read_bool, YES_NO),
	OPTION("fastopen", fastopen, TCP | FD, read_int,
	       "a queue's length from 1"),
	OPTION("nodelay", nodelay, TCP | FD, read_bool, YES_NO),
	OPTION("keepalive", keep_idle, TCP | FD, read_keepalive,
	       "IDLE,INTERVAL,COUNT in seconds as 60,10,5"),
	OPTION("rcvbuf", rcvbuf, SOCKETS, read_size, "a size as 256K"),
	OPTION("sndbuf", sndbuf, SOCKETS, read_size, "a size as 256K"),
	OPTION("source", source, INET, read_source,
	       "an IP address of this machine"),
};

void addr_options_init(struct addr_options *o)
{
	*o = (struct addr_options){
		.mode = -1,
		.backlog = -1,
		.v6only = ADDR_UNSET,
		.freebind = ADDR_UNSET,
		.defer = ADDR_UNSET,
		.nodelay = ADDR_UNSET,
		.fastopen = -1,
		.keep_idle = -1,
		.keep_intvl = -1,
		.keep_count = -1,
		.rcvbuf = -1,
		.sndbuf = -1,
	};
}

/* "name, mode, owner": which fit KIND, allocated. */
static char *fitting(enum addr_kind kind)
{
	char *list = xstrdup("");

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		char *longer;

		if (!(options[i].kinds & BIT(kind)))
			continue;
		longer = xasprintf("%s%s%s", list, *list ? ", " : "",
				   options[i].name);
		free(list);
		list = longer;
	}
	return list;
}

static int unknown(const char *word, enum addr_kind kind, char **why)
{
	const char *names[ARRAY_SIZE(options)], *near;
	CLEANUP(freep) char *list = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		names[i] = options[i].name;
	near = text_nearest(word, names, ARRAY_SIZE(names));
	if (near)
		return addr_wrong(why, xasprintf("no option '%s'; %s= would do",
						 word, near));
	list = fitting(kind);
	return addr_wrong(why, xasprintf("no option '%s'; %s: takes %s", word,
					 addr_kind_name(kind), list));
}

static int misfit(const struct option *o, enum addr_kind kind, char **why)
{
	CLEANUP(freep) char *list = fitting(kind);

	return addr_wrong(why, xasprintf("%s= does not fit %s:, which takes %s",
					 o->name, addr_kind_name(kind), list));
}

/* What the table can't say: options against each other and the address. */
static int consistent(const struct addr *a, char **why)
{
	const struct addr_options *o = &a->opt;

	if (a->path && a->path[0] == '@' &&
	    (o->mode >= 0 || o->owner || o->group))
		return addr_wrong(why, xstrdup("mode=, owner= and group= need "
			"a file; an abstract name has none, unix:/PATH would "
			"do"));
	if (o->v6only != ADDR_UNSET && a->family == AF_INET)
		return addr_wrong(why, xstrdup("v6only= needs an IPv6 address; "
			"this one is IPv4"));
	if (o->v6only == ADDR_NO && a->family == AF_INET6 && !a->host)
		return addr_wrong(why, xstrdup("v6only=no is against the 6; "
			"without it, both families are served"));
	if (o->source && a->family != AF_UNSPEC &&
	    (a->family == AF_INET6) != (strchr(o->source, ':') != NULL))
		return addr_wrong(why, xasprintf("source=%s is of the other "
			"family than the address", o->source));
	return 0;
}

static int parse_option(struct addr *a, const char *s, unsigned int *seen,
			char **why)
{
	size_t len = strcspn(s, "=");
	CLEANUP(freep) char *word = xstrndup(s, len);
	const struct option *o = NULL;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(options) && !o; i++)
		if (strcmp(options[i].name, word) == 0)
			o = &options[i];
	if (!o)
		return unknown(word, a->kind, why);
	if (!(o->kinds & BIT(a->kind)))
		return misfit(o, a->kind, why);
	if (s[len] != '=')
		return addr_wrong(why, xasprintf("%s lacks =; %s=VALUE, with "
			"%s, would do", word, word, o->hint));
	if (*seen & 1u << (i - 1))
		return addr_wrong(why, xasprintf("%s= is there twice; once "
						 "would do", word));
	*seen |= 1u << (i - 1);
	if (o->read(s + len + 1, (char *)&a->opt + o->offset) < 0)
		return addr_wrong(why, xasprintf("%s=%s; %s would do", word,
						 s + len + 1, o->hint));
	return 0;
}

int addr_options_parse(struct addr *a, char *const *v, size_t n, char **why)
{
	unsigned int seen = 0;
	int r;

	for (size_t i = 0; i < n; i++) {
		r = parse_option(a, v[i], &seen, why);
		if (r < 0)
			return r;
	}
	return consistent(a, why);
}
