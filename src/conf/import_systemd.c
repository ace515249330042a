/*
 * import_systemd - a .socket unit and the .service that it starts.
 *
 * Accept=yes is a process for each connection (spawn), Accept=no one worker
 * that accepts for itself, started by the first arrival (share). Drop-ins are
 * not read; `systemctl cat` shows what there is.
 *
 * What of [Service] becomes a key as it stands is in import_systemd_service.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "conf/import_systemd.h"

/* ---- [Socket] ---- */

static char *options(struct pair *p)
{
	static const struct { const char *theirs, *format; } opts[] = {
		{ "SocketMode", " mode=%s" }, { "SocketUser", " owner=%s" },
		{ "SocketGroup", " group=%s" }, { "Backlog", " backlog=%s" },
		{ "BindToDevice", " interface=%s" },
		{ "ReceiveBuffer", " rcvbuf=%s" },
		{ "SendBuffer", " sndbuf=%s" },
		{ "FileDescriptorName", " name=%s" },
	};
	static const struct { const char *theirs, *ours; } flags[] = {
		{ "NoDelay", " nodelay=yes" }, { "FreeBind", " freebind=yes" },
		{ "KeepAlive", " keepalive=7200,75,9" },
	};
	char *text = xstrdup("");

	for (size_t i = 0; i < ARRAY_SIZE(opts); i++) {
		const char *v = unit_get(&p->socket, "Socket", opts[i].theirs);
		CLEANUP(freep) char *old = v ? text : NULL;
		CLEANUP(freep) char *name = NULL;

		if (!v)
			continue;
		name = xstrndup(opts[i].format, strlen(opts[i].format) - 2);
		text = xasprintf("%s%s%s", old, name, v);
	}
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		CLEANUP(freep) char *old = NULL;

		if (!unit_bool(unit_get(&p->socket, "Socket",
					flags[i].theirs)))
			continue;
		old = text;
		text = xasprintf("%s%s", old, flags[i].ours);
	}
	return text;
}

/* The options that the kind of door can have. */
static char *fitting(const char *all, bool path)
{
	static const char *const of_path[] = { "mode=", "owner=", "group=" };
	static const char *const of_net[] = {
		"interface=", "nodelay=", "freebind=", "keepalive=",
	};
	const char *const *no = path ? of_net : of_path;
	size_t n = path ? ARRAY_SIZE(of_net) : ARRAY_SIZE(of_path);
	char *text = xstrdup("");
	struct strv w;

	import_split(all, &w);
	for (size_t i = 0; i < w.n; i++) {
		CLEANUP(freep) char *old = NULL;
		bool fits = true;

		for (size_t k = 0; k < n; k++)
			fits &= strncmp(w.v[i], no[k], strlen(no[k])) != 0;
		if (!fits)
			continue;
		old = text;
		text = xasprintf("%s %s", old, w.v[i]);
	}
	strv_free(&w);
	return text;
}

static void door(struct pair *p, struct unit_entry *e, const char *kind,
		 const char *all)
{
	const char *v = e->value, *only = unit_get(&p->socket, "Socket",
						   "BindIPv6Only");
	bool path = *v == '/' || *v == '@';
	bool six = only && strcmp(only, "ipv6-only") == 0;
	CLEANUP(freep) char *opt = fitting(all, path);
	const char *tcp = strcmp(kind, "dgram") == 0 ? "udp" : "tcp";
	const char *unix_kind = strcmp(kind, "dgram") == 0 ? "unix-dgram"
				: strcmp(kind, "seqpacket") == 0
				? "unix-seqpacket" : "unix";

	if (strchr(v, '%'))
		import_missed(p->im, e->at, "%s=%s: usher has no specifiers",
			      e->key, v);
	else if (strncmp(v, "vsock:", 6) == 0)
		import_missed(p->im, e->at, "%s=%s: usher has no such doors",
			      e->key, v);
	else if (!path && strcmp(tcp, "udp") == 0 && !p->wait)
		import_missed(p->im, e->at, "%s=%s: usher gives udp only to "
			      "programs that take it as standard input",
			      e->key, v);
	else if (p->doors++, path)
		import_set(p->im, "listen", "%s:%s%s", unix_kind, v, opt);
	else if (!strchr(v, ':'))
		import_set(p->im, "listen", "%s%s:*:%s%s", tcp, six ? "6" : "",
			   v, opt);
	else
		import_set(p->im, "listen", "%s:%s%s%s", tcp, v, opt,
			   six && *v == '[' ? " v6only=yes" : "");
}

static void doors(struct pair *p)
{
	static const struct { const char *key, *kind; } kinds[] = {
		{ "ListenStream", "stream" }, { "ListenDatagram", "dgram" },
		{ "ListenSequentialPacket", "seqpacket" },
	};
	CLEANUP(freep) char *all = options(p);

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		struct unit_entry *e;
		size_t from = 0;

		while ((e = unit_each(&p->socket, "Socket", kinds[k].key,
				      &from)))
			door(p, e, kinds[k].kind, all);
	}
}

static void socket_rest(struct pair *p)
{
	for (size_t i = 0; i < p->socket.n; i++) {
		struct unit_entry *e = &p->socket.v[i];

		/* Usher makes directories 0755 and removes its sockets. */
		if (strcmp(e->section, "Socket") == 0 && !e->used &&
		    strcmp(e->key, "RemoveOnStop") != 0 &&
		    (strcmp(e->key, "DirectoryMode") != 0 ||
		     strcmp(e->value, "0755") != 0))
			import_missed(p->im, e->at, "%s=%s: usher has no such "
				      "setting", e->key, e->value);
	}
}

static void limits(struct pair *p)
{
	const char *max = unit_get(&p->socket, "Socket", "MaxConnections");
	const char *each = unit_get(&p->socket, "Socket",
				    "MaxConnectionsPerSource");

	if (!p->accept)
		return;
	import_set(p->im, "max_connections", "%s", max ? max : "64");
	import_set(p->im, "on_full", "refuse");
	if (each)
		import_set(p->im, "max_per_source", "%s", each);
}

/* ---- both ---- */

/* A word of ExecStart: a whole $NAME is the words that it stands for. */
static void word_of(struct pair *p, struct import_at at, const char *word,
		    struct strv *out)
{
	bool brace = strncmp(word, "${", 2) == 0;
	const char *name = word + 1 + brace;
	size_t len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "abcdefghijklmnopqrstuvwxyz0123456789_");
	bool whole = *word == '$' && len &&
		     strcmp(name + len, brace ? "}" : "") == 0;
	CLEANUP(freep) char *value =
		whole ? unit_variable(&p->service, name, len) : NULL;
	struct strv w = { 0 };

	if (!strpbrk(word, "%$")) {
		strv_push(out, xstrdup(word));
	} else if (!whole) {
		import_missed(p->im, at, "ExecStart: %s stays as it is "
			      "written, usher knows no %% and $", word);
		strv_push(out, xstrdup(word));
	} else if (!value) {
		import_missed(p->im, at, "ExecStart: %s is left out, usher "
			      "knows no variables; write what it stands for",
			      word);
	} else {
		import_missed(p->im, at, "ExecStart: %s became '%s', which "
			      "Environment= says; usher knows no variables",
			      word, value);
		if (brace || text_split(value, &w) < 0)
			strv_push(out, xstrdup(value));
		for (size_t i = 0; i < w.n; i++)
			strv_push(out, xstrdup(w.v[i]));
		strv_free(&w);
	}
}

/* The prefixes of ExecStart, then the words; NULL: it can't be. */
static bool program(struct pair *p)
{
	const char *exec = unit_get(&p->service, "Service", "ExecStart");
	struct unit_entry *e = NULL;
	struct strv w, words = { 0 };
	bool named = false;
	size_t from = 0;

	if (!exec)
		return false;
	while (strchr("-+!:@", *exec) && *exec)
		named |= *exec++ == '@';
	e = unit_each(&p->service, "Service", "ExecStart", &from);
	if (text_split(exec, &w) < 0 || w.n == 0) {
		import_missed(p->im, e->at, "ExecStart=%s", exec);
		return false;
	}
	if (named) {
		char *path = xasprintf("@%s", w.v[0]);

		free(w.v[0]);
		w.v[0] = path;
	}
	for (size_t i = 0; i < w.n; i++)
		word_of(p, e->at, w.v[i], &words);
	if (words.n)
		import_words(p->im, "exec", &words);
	strv_free(&words);
	strv_free(&w);
	return true;
}

static void look(struct pair *p)
{
	const char *in = unit_get(&p->service, "Service", "StandardInput");

	p->inetd = in && strcmp(in, "socket") == 0;
	p->wait = p->inetd && !p->accept;
	p->notify = strncmp(unit_get(&p->service, "Service", "Type") ?: "",
			    "notify", 6) == 0;
}

static void who_speaks(struct pair *p)
{
	if (p->accept) {
		import_set(p->im, "handoff", "spawn");
		import_set(p->im, "protocol", p->inetd ? "inetd" : "systemd");
	} else if (p->wait) {
		import_set(p->im, "protocol", "wait");
	} else {
		import_set(p->im, "handoff", "share");
		import_set(p->im, "workers", "0-1");
		import_set(p->im, "idle_timeout", "0");
		if (p->notify)
			import_set(p->im, "ready", "notify");
	}
	for (size_t i = 0; i < p->service.n; i++)
		if (strcmp(p->service.v[i].key, "Type") == 0)
			p->service.v[i].used = p->notify;
}

/* Beside FILE, or where systemd looks. */
static int find_service(struct pair *p, const char *file, const char *name)
{
	static const char *const dirs[] = {
		"/etc/systemd/system", "/run/systemd/system",
		"/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
		"/lib/systemd/system",
	};
	const char *slash = strrchr(file, '/');
	CLEANUP(freep) char *beside =
		slash ? xasprintf("%.*s/%s", (int)(slash - file), file, name)
		      : xstrdup(name);
	int r = unit_read(beside, &p->service);

	for (size_t i = 0; r < 0 && i < ARRAY_SIZE(dirs); i++) {
		CLEANUP(freep) char *path = xasprintf("%s/%s", dirs[i], name);

		r = unit_read(path, &p->service);
	}
	return r;
}

static void write_pair(struct pair *p, const char *file, const char *base)
{
	struct import_at at = { file, 1 };
	const char *name = unit_get(&p->socket, "Socket", "Service");
	CLEANUP(freep) char *usual =
		xasprintf("%s%s.service", base, p->accept ? "@" : "");

	import_begin(p->im, base, at);
	if (find_service(p, file, name ? name : usual) < 0) {
		import_missed(p->im, at, "its service %s is not there",
			      name ? name : usual);
		import_drop(p->im);
		return;
	}
	look(p);
	doors(p);
	if (p->doors == 0) {
		import_missed(p->im, at, "no door is left");
		import_drop(p->im);
		return;
	}
	if (!program(p)) {
		import_missed(p->im, at, "%s has no ExecStart",
			      p->service.file);
		import_drop(p->im);
		return;
	}
	who_speaks(p);
	limits(p);
	systemd_service_rest(p);
	socket_rest(p);
	import_end(p->im);
}

static bool ends_in(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n > m && strcmp(s + n - m, end) == 0;
}

/* A .service is read with its .socket; alone it has no door. */
static int alone(struct import *im, const char *file)
{
	CLEANUP(freep) char *socket = xstrndup(file, strlen(file) - 8);
	CLEANUP(freep) char *path = NULL;
	struct import_at at = { file, 1 };
	size_t n = strlen(socket);

	if (access(file, R_OK) < 0)
		return -errno;
	if (n && socket[n - 1] == '@')
		socket[n - 1] = 0;
	path = xasprintf("%s.socket", socket);
	if (access(path, R_OK) < 0)
		import_missed(im, at, "a service without a socket has no "
			      "door; import its .socket");
	import_drop(im);
	return 0;
}

int import_systemd(struct import *im, const char *file)
{
	struct pair p = { .im = im };
	const char *slash = strrchr(file, '/');
	CLEANUP(freep) char *base = xstrdup(slash ? slash + 1 : file);
	int r;

	if (ends_in(file, ".service"))
		return alone(im, file);
	if (ends_in(base, ".socket"))
		base[strlen(base) - 7] = 0;
	r = unit_read(file, &p.socket);
	if (r < 0)
		return r;
	p.accept = unit_bool(unit_get(&p.socket, "Socket", "Accept"));
	write_pair(&p, file, base);
	unit_free(&p.socket);
	unit_free(&p.service);
	return 0;
}
