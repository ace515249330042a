/*
 * import_inetd - inetd.conf(5), as openbsd-inetd and inetutils read it.
 *
 * SERVICE TYPE PROTOCOL WAIT USER PROGRAM ARGUMENTS. A line that is an address
 * and a colon sets where the following ones listen. inetd knows no limit of
 * processes, so neither do the sections.
 */
#include "conf/import.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"

struct line {
	struct import *im;
	struct import_at at;
	struct strv w;
	const char *host;	/* where following lines listen */
	const char *user, *group;
};

enum { SERVICE, TYPE, PROTOCOL, WAIT, USER, PROGRAM, ARGS };

/* "tcp6,sndbuf=16k": the first word, options as ours in OPT. */
static bool protocol(struct line *l, char *kind, size_t len, struct strv *opt)
{
	char *p = l->w.v[PROTOCOL];
	size_t n = strcspn(p, ",");
	static const struct { const char *theirs, *ours; } kinds[] = {
		/* openbsd-inetd: tcp and udp are IPv4 alone */
		{ "tcp", "tcp4" }, { "tcp4", "tcp4" }, { "tcp6", "tcp6" },
		{ "tcp46", "tcp" }, { "udp", "udp4" }, { "udp4", "udp4" },
		{ "udp6", "udp6" }, { "udp46", "udp" }, { "unix", "unix" },
	};

	for (char *o = p[n] ? p + n + 1 : NULL, *next; o; o = next) {
		next = strchr(o, ',');
		if (next)
			*next++ = 0;
		for (char *c = o; *c; c++)
			if (*c == 'k' || *c == 'm')
				*c &= ~0x20;
		if (strncmp(o, "sndbuf=", 7) == 0 ||
		    strncmp(o, "rcvbuf=", 7) == 0)
			strv_push(opt, xstrdup(o));
		else
			import_missed(l->im, l->at, "option %s", o);
	}
	p[n] = 0;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(kinds[i].theirs, p) == 0) {
			snprintf(kind, len, "%s", kinds[i].ours);
			return true;
		}
	import_missed(l->im, l->at, "protocol %s: usher has no such doors", p);
	return false;
}

/* "USER:GROUP", "USER.GROUP", "USER/CLASS" of login.conf. */
static void user(struct line *l)
{
	char *u = l->w.v[USER], *end;

	u[strcspn(u, "/")] = 0;
	end = strpbrk(u, ":.");
	if (end)
		*end = 0;
	l->user = u;
	l->group = end ? end + 1 : NULL;
}

static void listen_on(struct line *l, const char *kind, const struct strv *opt)
{
	CLEANUP(freep) char *options = text_join(opt);
	char *service = l->w.v[SERVICE];
	char *colon = strrchr(service, ':');
	const char *host = colon ? service : l->host;

	if (strcmp(kind, "unix") == 0) {
		bool dgram = strcmp(l->w.v[TYPE], "dgram") == 0;

		import_set(l->im, "listen",
			   "unix%s:%s mode=0666 owner=%s%s%s%s%s",
			   dgram ? "-dgram" : "", service, l->user,
			   l->group ? " group=" : "", l->group ? l->group : "",
			   *options ? " " : "", options);
		return;
	}
	if (colon)
		*colon = 0;
	import_set(l->im, "listen", "%s:%s:%s%s%s", kind, host,
		   colon ? colon + 1 : service, *options ? " " : "", options);
}

static void program(struct line *l)
{
	struct strv exec = { 0 };
	const char *path = l->w.v[PROGRAM];
	bool named = l->w.n > ARGS && strcmp(l->w.v[ARGS], path) != 0;

	/* The first argument is what the program sees as its name. */
	strv_pushf(&exec, "%s%s", named ? "@" : "", path);
	for (size_t i = named ? ARGS : ARGS + 1; i < l->w.n; i++)
		strv_push(&exec, xstrdup(l->w.v[i]));
	import_words(l->im, "exec", &exec);
	strv_free(&exec);
}

static bool internal(struct line *l, bool stream)
{
	const char *name = l->w.v[SERVICE];
	const char *colon = strrchr(name, ':');

	name = colon ? colon + 1 : name;
	if (stream && (strcmp(name, "echo") == 0 ||
		       strcmp(name, "discard") == 0)) {
		import_set(l->im, "builtin", "%s", name);
		return true;
	}
	import_missed(l->im, l->at, "internal service %s (%s): usher has echo "
		      "and discard for streams alone", name,
		      l->w.v[PROTOCOL]);
	return false;
}

/* "nowait.40" or "wait:40": so many starts a minute. */
static bool waiting(struct line *l, bool *wait, const char **rate)
{
	char *w = l->w.v[WAIT];
	char *dot = strpbrk(w, ".:/");

	*rate = NULL;
	if (dot) {
		*dot = 0;
		*rate = dot + 1;
	}
	*wait = strcmp(w, "wait") == 0;
	if (*wait || strcmp(w, "nowait") == 0)
		return true;
	import_missed(l->im, l->at, "'%s' is neither wait nor nowait", w);
	return false;
}

static void who(struct line *l)
{
	import_set(l->im, "user", "%s", l->user);
	if (l->group)
		import_set(l->im, "group", "%s", l->group);
}

static bool section(struct line *l)
{
	bool stream = strcmp(l->w.v[TYPE], "stream") == 0;
	CLEANUP(strv_free) struct strv opt = { 0 };
	const char *rate;
	char kind[16];
	bool wait;

	if (!stream && strcmp(l->w.v[TYPE], "dgram") != 0) {
		import_missed(l->im, l->at, "socket type %s", l->w.v[TYPE]);
		return false;
	}
	if (!protocol(l, kind, sizeof(kind), &opt) ||
	    !waiting(l, &wait, &rate))
		return false;
	user(l);
	if (strcmp(l->w.v[PROGRAM], "internal") == 0) {
		if (!internal(l, stream))
			return false;
		listen_on(l, kind, &opt);
		return true;
	}
	if (!stream && !wait) {
		import_missed(l->im, l->at, "dgram with nowait: a process for "
			      "each datagram; usher starts one (wait)");
		wait = true;
	}
	listen_on(l, kind, &opt);
	program(l);
	who(l);
	if (wait) {
		import_set(l->im, "protocol", "wait");
		if (rate)
			import_missed(l->im, l->at, "at most %s starts a "
				      "minute", rate);
		return true;
	}
	import_set(l->im, "output", "connection");
	import_set(l->im, "max_connections", "0");
	if (rate)
		import_set(l->im, "rate", "%s/min burst=%s", rate, rate);
	return true;
}

static void one(struct line *l)
{
	const char *name;

	if (l->w.n <= PROGRAM) {
		import_missed(l->im, l->at, "not understood: %zu fields, 6 "
			      "are wanted", l->w.n);
		import_drop(l->im);
		return;
	}
	name = strrchr(l->w.v[SERVICE], '/');
	if (!name)
		name = strrchr(l->w.v[SERVICE], ':');
	import_begin(l->im, name ? name + 1 : l->w.v[SERVICE], l->at);
	if (section(l))
		import_end(l->im);
	else
		import_drop(l->im);
}

int import_inetd(struct import *im, const char *file)
{
	struct line l = { .im = im, .at = { file, 0 }, .host = "*" };
	CLEANUP(freep) char *text = NULL;
	CLEANUP(freep) char *host = NULL;
	size_t room = 0;
	FILE *f = fopen(file, "re");

	if (!f)
		return -errno;
	while (getline(&text, &room, f) >= 0) {
		size_t len;

		l.at.line++;
		if (*text == '#')
			continue;
		import_split(text, &l.w);
		len = l.w.n == 1 ? strlen(l.w.v[0]) : 0;
		if (len > 1 && l.w.v[0][len - 1] == ':') {
			free(host);
			host = xstrndup(l.w.v[0], len - 1);
			l.host = host;
		} else if (l.w.n > 0) {
			one(&l);
		}
		strv_free(&l.w);
	}
	if (ferror(f)) {
		fclose(f);
		return -EIO;
	}
	fclose(f);
	return 0;
}
