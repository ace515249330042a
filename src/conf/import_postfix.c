/*
 * import_postfix - Postfix's master.cf(5), with what it needs of main.cf.
 *
 * A service a line. What master.cf leaves open ("-") is as Postfix has it.
 * What main.cf says is import_main_cf's.
 */
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/text.h"
#include "conf/import_postfix.h"

/* Postfix's 0 is no limit; this many is more than any machine runs. */
#define NO_LIMIT 10000

enum { NAME, TYPE, PRIVATE, UNPRIV, CHROOT, WAKEUP, MAXPROC, COMMAND, ARGS };

/* One line of master.cf. */
struct entry {
	struct postfix *p;
	struct import_at at;
	struct strv w;
	int64_t maxproc, wakeup;
	bool private, unpriv, chroot, loopback;
	unsigned doors;
};

/* ---- doors ---- */

static void door(struct entry *e, const char *host, const char *port)
{
	CLEANUP(freep) char *protocols = postfix_param(e->p, "inet_protocols");
	bool v4 = strcmp(protocols, "ipv4") == 0;
	bool v6 = strcmp(protocols, "ipv6") == 0;
	bool is6 = strchr(host, ':') != NULL;

	if ((v4 && is6) || (v6 && strchr(host, '.')))
		return;
	import_set(e->p->im, "listen", "tcp%s:%s%s%s:%s",
		   *host == '*' && v4 ? "4" : *host == '*' && v6 ? "6" : "",
		   is6 ? "[" : "", host, is6 ? "]" : "", port);
	e->doors++;
}

/* A name's addresses, one door each: Postfix is told how many there are. */
static void host_doors(struct entry *e, char *host, const char *port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list, *ai;
	size_t len = strlen(host);
	char text[64];
	int r;

	if (*host == '[' && len && host[len - 1] == ']') {
		host[len - 1] = 0;
		host++;
	}
	if (strcmp(host, "all") == 0 || strcmp(host, "*") == 0) {
		e->loopback = false;
		door(e, "*", port);
		return;
	}
	if (strcmp(host, "loopback-only") == 0) {
		door(e, "127.0.0.1", port);
		door(e, "::1", port);
		return;
	}
	r = getaddrinfo(host, NULL, &hints, &list);
	if (r != 0) {
		import_missed(e->p->im, e->at, "%s: %s", host,
			      gai_strerror(r));
		return;
	}
	for (ai = list; ai; ai = ai->ai_next) {
		getnameinfo(ai->ai_addr, ai->ai_addrlen, text, sizeof(text),
			    NULL, 0, NI_NUMERICHOST);
		if (strncmp(text, "127.", 4) != 0 && strcmp(text, "::1") != 0)
			e->loopback = false;
		door(e, text, port);
	}
	freeaddrinfo(list);
}

static void inet_doors(struct entry *e)
{
	char *name = e->w.v[NAME], *colon = strrchr(name, ':');
	CLEANUP(freep) char *interfaces = NULL;
	struct strv w;

	e->loopback = true;
	if (colon) {
		CLEANUP(freep) char *host =
			xstrndup(name, (size_t)(colon - name));

		host_doors(e, host, colon + 1);
		return;
	}
	interfaces = postfix_param(e->p, "inet_interfaces");
	for (char *c = interfaces; *c; c++)
		if (*c == ',')
			*c = ' ';
	import_split(interfaces, &w);
	for (size_t i = 0; i < w.n; i++)
		host_doors(e, w.v[i], name);
	strv_free(&w);
}

static bool doors(struct entry *e)
{
	static const struct { const char *theirs, *ours, *mode; } kinds[] = {
		{ "unix", "unix", "" }, { "fifo", "fifo", " mode=0622" },
		{ "pass", "unix-pass", "" },
		{ "unix-dgram", "unix-dgram", "" },
	};
	const char *type = e->w.v[TYPE];

	if (strcmp(type, "inet") == 0) {
		inet_doors(e);
		return e->doors > 0;
	}
	e->loopback = true;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(kinds[i].theirs, type) == 0) {
			import_set(e->p->im, "listen", "%s:%s/%s/%s owner=%s%s",
				   kinds[i].ours, e->p->queue,
				   e->private ? "private" : "public",
				   e->w.v[NAME], e->p->owner, kinds[i].mode);
			e->doors = 1;
			return true;
		}
	import_missed(e->p->im, e->at, "type %s", type);
	return false;
}

/* ---- the command ---- */

static void add(struct strv *sv, const char *a, const char *b)
{
	strv_push(sv, xstrdup(a));
	if (b)
		strv_push(sv, xstrdup(b));
}

/* In the order in which Postfix's master gives them. */
static void command(struct entry *e)
{
	const char *cmd = e->w.v[COMMAND];
	struct strv exec = { 0 };

	if (*cmd == '/')
		strv_push(&exec, xstrdup(cmd));
	else
		strv_pushf(&exec, "%s/%s", e->p->daemons, cmd);
	if (e->maxproc == 1)
		add(&exec, "-l", NULL);
	if (e->maxproc == 0)
		add(&exec, "-z", NULL);
	if (strcmp(e->w.v[NAME], cmd) != 0)
		add(&exec, "-n", e->w.v[NAME]);
	add(&exec, "-t", e->w.v[TYPE]);
	if (e->unpriv)
		add(&exec, "-u", NULL);
	if (e->chroot)
		add(&exec, "-c", NULL);
	if (!e->loopback && e->maxproc > 1)
		add(&exec, "-o", "stress=");
	if (e->doors > 1) {
		add(&exec, "-s", NULL);
		strv_pushf(&exec, "%u", e->doors);
	}
	for (size_t i = ARGS; i < e->w.n; i++)
		strv_push(&exec, xstrdup(e->w.v[i]));
	import_words(e->p->im, "exec", &exec);
	strv_free(&exec);
}

static void environment(struct entry *e)
{
	struct postfix *p = e->p;
	CLEANUP(strv_free) struct strv env = { 0 };
	CLEANUP(freep) char *tag = postfix_param(p, "syslog_name");
	CLEANUP(freep) char *log = postfix_param(p, "maillog_file");

	if (strcmp(p->dir, "/etc/postfix") != 0)
		strv_pushf(&env, "MAIL_CONFIG=%s", p->dir);
	if (strcmp(tag, "postfix") != 0)
		strv_pushf(&env, "MAIL_LOGTAG=%s", tag);
	if (*log) {
		CLEANUP(freep) char *name =
			postfix_param(p, "postlog_service_name");
		CLEANUP(freep) char *host = postfix_param(p, "myhostname");

		strv_pushf(&env, "POSTLOG_SERVICE=%s/public/%s", p->queue,
			   name);
		if (*host)
			strv_pushf(&env, "POSTLOG_HOSTNAME=%s", host);
	}
	if (env.n)
		import_words(p->im, "environment", &env);
}

/* A service that is woken up and runs once is there from the start: that is
 * Postfix's first wake-up. */
static void workers(struct entry *e)
{
	struct import *im = e->p->im;
	bool maybe = strchr(e->w.v[WAKEUP], '?') != NULL;

	if (e->maxproc == 1 && e->wakeup && !maybe)
		import_set(im, "workers", "1");
	else
		import_set(im, "workers", "0-%lld",
			   (long long)(e->maxproc ? e->maxproc : NO_LIMIT));
	/* Postfix's daemons know themselves when they idle too long. */
	import_set(im, "idle_timeout", "0");
	if (e->wakeup)
		import_set(im, "every", "%llds", (long long)e->wakeup);
	if (maybe)
		import_missed(im, e->at, "wakeup %s: woken up also while "
			      "nobody has used it", e->w.v[WAKEUP]);
}

/* ---- an entry ---- */

/* Words, "{...}" is one without its braces and the blanks inside them. */
static bool split(char *s, struct strv *out)
{
	*out = (struct strv){ 0 };
	for (;;) {
		size_t len;

		s += strspn(s, " \t\r\n");
		if (!*s)
			return true;
		if (*s == '{' && out->n > COMMAND) {
			int depth = 0;
			char *from = s + 1, *end;

			for (end = s; *end; end++) {
				depth += *end == '{';
				depth -= *end == '}';
				if (depth == 0)
					break;
			}
			if (!*end)
				return false;
			s = end + 1;
			from += strspn(from, " \t");
			while (end > from && strchr(" \t", end[-1]))
				end--;
			strv_push(out, xstrndup(from, (size_t)(end - from)));
			continue;
		}
		len = strcspn(s, " \t\r\n");
		strv_push(out, xstrndup(s, len));
		s += len;
	}
}

/* "y", "n" or "-"; anything else is told. */
static bool yes_no(struct entry *e, int field, bool preset)
{
	const char *v = e->w.v[field];

	if (strcmp(v, "-") == 0)
		return preset;
	if (strcmp(v, "y") != 0 && strcmp(v, "n") != 0)
		import_missed(e->p->im, e->at, "'%s' is neither y, n nor -",
			      v);
	return *v == 'y';
}

static int64_t number(struct entry *e, int field, const char *preset)
{
	CLEANUP(freep) char *v = xstrdup(
		strcmp(e->w.v[field], "-") == 0 ? preset : e->w.v[field]);
	int64_t n = 0;

	v[strcspn(v, "?")] = 0;
	if (text_number(v, 0, INT32_MAX, &n) < 0)
		import_missed(e->p->im, e->at, "'%s' is no number",
			      e->w.v[field]);
	return n;
}

static void fields(struct entry *e)
{
	CLEANUP(freep) char *limit =
		postfix_param(e->p, "default_process_limit");
	CLEANUP(freep) char *level = postfix_param(e->p, "compatibility_level");

	e->private = yes_no(e, PRIVATE, true);
	e->unpriv = yes_no(e, UNPRIV, true);
	/* Before Postfix 3.0 chroot was on where nothing was said. */
	e->chroot = yes_no(e, CHROOT, atoi(level) < 1);
	e->wakeup = number(e, WAKEUP, "0");
	e->maxproc = number(e, MAXPROC, limit);
}

static void tell_once(struct postfix *p)
{
	if (p->told)
		return;
	p->told = true;
	import_remark(p->im, "With pid_file = %s/pid/master.pid in [usher] "
		      "`postfix status', `reload' and `stop' speak to usher.",
		      p->queue);
}

static void section(struct entry *e)
{
	struct import *im = e->p->im;
	CLEANUP(freep) char *name = xasprintf(
		"postfix-%s%s", e->w.v[NAME],
		strcmp(e->w.v[TYPE], "inet") == 0 ? "-inet" : "");

	tell_once(e->p);
	import_begin(im, name, e->at);
	fields(e);
	if (!doors(e)) {
		import_drop(im);
		return;
	}
	import_set(im, "protocol", "postfix");
	command(e);
	import_set(im, "directory", "%s", e->p->queue);
	import_set(im, "umask", "077");
	environment(e);
	workers(e);
	import_end(im);
}

struct reading {
	struct postfix *p;
	const char *file;
};

static void on_entry(void *arg, char *line, unsigned number)
{
	struct reading *r = arg;
	struct entry e = { .p = r->p, .at = { r->file, number } };

	if (!split(line, &e.w)) {
		import_missed(r->p->im, e.at, "a { without its }");
		import_drop(r->p->im);
	} else if (e.w.n <= COMMAND) {
		import_missed(r->p->im, e.at, "not understood: %zu fields, 8 "
			      "are wanted", e.w.n);
		import_drop(r->p->im);
	} else {
		section(&e);
	}
	strv_free(&e.w);
}

/* The directory as MAIL_CONFIG names it. */
static char *directory_of(const char *file)
{
	CLEANUP(freep) char *path = realpath(file, NULL);
	char *slash = path ? strrchr(path, '/') : NULL;

	if (!slash)
		return xstrdup("/etc/postfix");
	*slash = 0;
	return xstrdup(*path ? path : "/");
}

int import_master_cf(struct import *im, const char *file)
{
	struct postfix p = { .im = im, .dir = directory_of(file) };
	CLEANUP(freep) char *main_cf = xasprintf("%s/main.cf", p.dir);
	struct reading reading = { &p, file };
	int r = access(file, R_OK) < 0 ? -errno : 0;

	if (r == 0 && postfix_main_cf(&p, main_cf) < 0)
		import_missed(im, (struct import_at){ file, 1 },
			      "%s can't be read: Postfix's defaults are "
			      "written", main_cf);
	p.queue = postfix_param(&p, "queue_directory");
	p.owner = postfix_param(&p, "mail_owner");
	p.daemons = postfix_daemon_directory(&p);
	if (r == 0)
		r = postfix_each_line(file, on_entry, &reading);
	postfix_forget(&p);
	free(p.dir);
	free(p.queue);
	free(p.owner);
	free(p.daemons);
	return r;
}
