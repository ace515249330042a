/*
 * import_xinetd_service - one service of xinetd's as a section.
 *
 * A service's attributes are gathered, those of `defaults` that it does not
 * set itself after them; then a table says what becomes of each.
 */
#include <string.h>

#include "conf/import_xinetd.h"

/* A service while it is written. */
struct one {
	struct xinetd *x;
	struct attrs *a;
	const char *name;
	struct import_at at;
	bool wait, stream, internal, disabled;
};

/* What a service does not say itself. */
static void inherit(struct one *o)
{
	struct attrs *d = &o->x->defaults;

	for (size_t i = 0; i < d->n; i++) {
		struct strv copy = { 0 };

		if (xinetd_find(o->a, d->v[i].name) ||
		    strcmp(d->v[i].name, "enabled") == 0 ||
		    strcmp(d->v[i].name, "disabled") == 0)
			continue;
		strv_extend(&copy, &d->v[i].values);
		xinetd_set(o->a, d->v[i].name, '=', &copy, d->v[i].at);
	}
}

static const char *first(const struct attr *at)
{
	return at && at->values.n ? at->values.v[0] : "";
}

static bool holds(const struct attr *at, const char *word)
{
	for (size_t i = 0; at && i < at->values.n; i++)
		if (strcasecmp(at->values.v[i], word) == 0)
			return true;
	return false;
}

static const char *take(struct one *o, const char *name)
{
	struct attr *at = xinetd_find(o->a, name);

	if (!at)
		return NULL;
	at->used = true;
	return first(at);
}

/* ---- what becomes of them ---- */

static void x_instances(struct one *o, struct attr *at)
{
	bool any = strcasecmp(first(at), "UNLIMITED") == 0;

	import_set(o->x->im, "max_connections", "%s", any ? "0" : first(at));
	if (!any)
		import_set(o->x->im, "on_full", "refuse");
}

static void x_per_source(struct one *o, struct attr *at)
{
	if (strcasecmp(first(at), "UNLIMITED") != 0)
		import_set(o->x->im, "max_per_source", "%s", first(at));
}

/* N a second; past it xinetd closes the door for T seconds. */
static void x_cps(struct one *o, struct attr *at)
{
	import_set(o->x->im, "rate", "%s/s burst=%s", first(at), first(at));
	if (at->values.n > 1)
		import_remark(o->x->im, "past its rate xinetd closes the door "
			      "for %s seconds, here clients wait",
			      at->values.v[1]);
}

/* 10.0.0.0 is 10.0.0.0/8, 192.168.1.0 a /24, as xinetd has it. */
static bool cidr(const char *word, char *out, size_t len)
{
	unsigned a, b, c, d, prefix = 32;
	char end;

	if (strchr(word, '/') || strchr(word, ':')) {
		snprintf(out, len, "%s", word);
		return true;
	}
	if (sscanf(word, "%u.%u.%u.%u%c", &a, &b, &c, &d, &end) != 4)
		return false;
	if (!d)
		prefix = c ? 24 : b ? 16 : a ? 8 : 0;
	snprintf(out, len, "%u.%u.%u.%u/%u", a, b, c, d, prefix);
	return true;
}

static void rules(struct one *o, struct attr *at, const char *key)
{
	char text[128];

	for (size_t i = 0; i < at->values.n; i++) {
		const char *v = at->values.v[i];

		if (strcmp(v, "localhost") == 0) {
			import_set(o->x->im, key, "127.0.0.0/8");
			import_set(o->x->im, key, "::1");
		} else if (cidr(v, text, sizeof(text))) {
			import_set(o->x->im, key, "%s", text);
		} else {
			import_missed(o->x->im, at->at, "%s %s: a name; write "
				      "its addresses", at->name, v);
		}
		/* An IPv4 that matches all means IPv6 too. */
		if (strcmp(v, "0.0.0.0") == 0 || strcmp(v, "0.0.0.0/0") == 0)
			import_set(o->x->im, key, "::/0");
	}
}

static void x_no_access(struct one *o, struct attr *at)
{
	rules(o, at, "deny");
}

static void x_only_from(struct one *o, struct attr *at)
{
	rules(o, at, "allow");
	if (at->values.n == 0)
		import_set(o->x->im, "deny", "0.0.0.0/0");
}

static void x_env(struct one *o, struct attr *at)
{
	if (at->values.n)
		import_words(o->x->im, "environment", &at->values);
}

static void x_passenv(struct one *o, struct attr *at)
{
	if (at->values.n)
		import_words(o->x->im, "pass_environment", &at->values);
}

static void x_log(struct one *o, struct attr *at)
{
	if (at->values.n)
		import_set(o->x->im, "log_connections", "yes");
}

static void x_umask(struct one *o, struct attr *at)
{
	import_set(o->x->im, "umask", "%s", first(at));
}

static void x_nice(struct one *o, struct attr *at)
{
	import_set(o->x->im, "nice", "%s", first(at));
}

static void limit(struct one *o, struct attr *at, const char *key)
{
	bool any = strcasecmp(first(at), "UNLIMITED") == 0;

	import_set(o->x->im, key, "%s", any ? "infinity" : first(at));
}

static void x_rlimit_as(struct one *o, struct attr *at)
{
	limit(o, at, "limit_as");
}

static void x_rlimit_cpu(struct one *o, struct attr *at)
{
	limit(o, at, "limit_cpu");
}

static void x_rlimit_files(struct one *o, struct attr *at)
{
	limit(o, at, "limit_nofile");
}

static void x_nothing(struct one *o, struct attr *at)
{
	(void)o;
	(void)at;
}

/* Where xinetd logs; usher has one log. */
static void x_log_type(struct one *o, struct attr *at)
{
	if (strcasecmp(first(at), "FILE") == 0)
		import_missed(o->x->im, at->at, "log_type FILE: a service has "
			      "no log of its own");
}

static const struct {
	const char *name;
	void (*fn)(struct one *o, struct attr *at);
	bool connections;	/* means nothing to wait */
} table[] = {
	{ "instances", x_instances, true },
	{ "per_source", x_per_source, true },
	{ "cps", x_cps, true },
	{ "no_access", x_no_access, true },
	{ "only_from", x_only_from, true },
	{ "log_on_success", x_log, true },
	{ "log_on_failure", x_nothing, false },	/* is always logged */
	{ "log_type", x_log_type, false },
	{ "env", x_env, false },
	{ "passenv", x_passenv, false },
	{ "umask", x_umask, false },
	{ "nice", x_nice, false },
	{ "groups", x_nothing, false },	/* a user's groups always count */
	{ "rlimit_as", x_rlimit_as, false },
	{ "rlimit_cpu", x_rlimit_cpu, false },
	{ "rlimit_files", x_rlimit_files, false },
	{ "v6only", x_nothing, false },	/* see listen_on */
	{ "mdns", x_nothing, false },	/* announces nothing in Debian */
};

static void rest(struct one *o)
{
	for (size_t i = 0; i < o->a->n; i++) {
		struct attr *at = &o->a->v[i];
		size_t k = 0;

		if (at->used)
			continue;
		while (k < ARRAY_SIZE(table) &&
		       strcmp(table[k].name, at->name) != 0)
			k++;
		if (k == ARRAY_SIZE(table))
			import_missed(o->x->im, at->at, "%s = %s%s", at->name,
				      first(at),
				      at->values.n > 1 ? " ..." : "");
		else if (table[k].connections && o->wait)
			import_missed(o->x->im, at->at, "%s: with wait = yes "
				      "usher sees no connections", at->name);
		else
			table[k].fn(o, at);
	}
}

/* ---- a service ---- */

static void listen_on(struct one *o)
{
	struct attr *flags = xinetd_find(o->a, "flags");
	const char *proto = take(o, "protocol");
	const char *port = take(o, "port"), *bind = take(o, "bind");
	const char *family = holds(flags, "IPv4") ? "4"
			     : holds(flags, "IPv6") ? "6" : "";
	const char *kind = o->stream ? "tcp" : "udp";
	bool only6 = strcasecmp(take(o, "v6only") ?: "no", "yes") == 0;

	if (!bind)
		bind = take(o, "interface");
	if (proto && strlen(proto) == 4 && proto[3] == '6')
		family = "6";
	import_set(o->x->im, "listen", "%s%s:%s%s%s:%s%s%s", kind,
		   only6 ? "6" : family, bind && strchr(bind, ':') ? "[" : "",
		   bind ? bind : "*", bind && strchr(bind, ':') ? "]" : "",
		   port ? port : o->name,
		   o->stream && holds(flags, "KEEPALIVE")
			   ? " keepalive=7200,75,9" : "",
		   o->stream && holds(flags, "NODELAY")
			   ? " nodelay=yes" : "");
}

static void flags(struct one *o)
{
	static const char *const fine[] = {
		"IPv4", "IPv6", "KEEPALIVE", "NODELAY", "NAMEINARGS", "REUSE",
		"NORETRY", "NOLIBWRAP",
	};
	struct attr *at = xinetd_find(o->a, "flags");

	for (size_t i = 0; at && i < at->values.n; i++) {
		bool known = false;

		for (size_t k = 0; k < ARRAY_SIZE(fine); k++)
			known |= strcasecmp(at->values.v[i], fine[k]) == 0;
		if (!known)
			import_missed(o->x->im, at->at, "flags %s",
				      at->values.v[i]);
	}
	take(o, "flags");
}

static void program(struct one *o)
{
	struct attr *args = xinetd_find(o->a, "server_args");
	bool named = holds(xinetd_find(o->a, "flags"), "NAMEINARGS");
	struct strv exec = { 0 };

	strv_pushf(&exec, "%s%s", named ? "@" : "", take(o, "server") ?: "");
	if (args) {
		strv_extend(&exec, &args->values);
		args->used = true;
	}
	import_words(o->x->im, "exec", &exec);
	strv_free(&exec);
}

static bool internal(struct one *o)
{
	if (o->stream && (strcmp(o->name, "echo") == 0 ||
			  strcmp(o->name, "discard") == 0)) {
		import_set(o->x->im, "builtin", "%s", o->name);
		take(o, "user");
		take(o, "group");
		return true;
	}
	import_missed(o->x->im, o->at, "internal service %s (%s)%s: usher has "
		      "echo and discard for streams alone", o->name,
		      o->stream ? "stream" : "dgram",
		      o->disabled ? ", disabled" : "");
	return false;
}

static bool redirect(struct one *o, struct attr *at)
{
	bool v6 = strchr(first(at), ':') != NULL;

	if (at->values.n != 2)
		return false;
	at->used = true;
	import_set(o->x->im, "relay", "tcp:%s%s%s:%s", v6 ? "[" : "",
		   at->values.v[0], v6 ? "]" : "", at->values.v[1]);
	take(o, "user");
	take(o, "group");
	return true;
}

static bool who_serves(struct one *o)
{
	struct attr *to = xinetd_find(o->a, "redirect");
	const char *user, *group;

	if (o->internal)
		return internal(o);
	if (to)
		return redirect(o, to);
	if (!xinetd_find(o->a, "server")) {
		import_missed(o->x->im, o->at, "service %s has no server",
			      o->name);
		return false;
	}
	program(o);
	user = take(o, "user");
	group = take(o, "group");
	if (user)
		import_set(o->x->im, "user", "%s", user);
	if (group)
		import_set(o->x->im, "group", "%s", group);
	if (o->wait)
		import_set(o->x->im, "protocol", "wait");
	else
		import_set(o->x->im, "output", "connection");
	if (!o->wait && !xinetd_find(o->a, "instances"))
		import_set(o->x->im, "max_connections", "0");
	return true;
}

static bool can_be(struct one *o)
{
	const char *type = take(o, "socket_type");

	if (holds(xinetd_find(o->a, "type"), "RPC") ||
	    holds(xinetd_find(o->a, "type"), "TCPMUX") ||
	    holds(xinetd_find(o->a, "type"), "TCPMUXPLUS")) {
		import_missed(o->x->im, o->at, "service %s: type %s", o->name,
			      first(xinetd_find(o->a, "type")));
		return false;
	}
	if (type && strcmp(type, "stream") != 0 && strcmp(type, "dgram") != 0) {
		import_missed(o->x->im, o->at, "service %s: socket_type %s",
			      o->name, type);
		return false;
	}
	if (!o->stream && !o->wait && !o->internal)
		import_missed(o->x->im, o->at, "dgram with wait = no: a "
			      "process for each datagram; usher starts one");
	return true;
}

void xinetd_service(struct xinetd *x, const char *name, struct attrs *a,
		    struct import_at at)
{
	struct one o = { .x = x, .a = a, .name = name, .at = at };
	const char *id;
	bool ok;

	inherit(&o);
	id = take(&o, "id") ?: name;
	o.stream = strcmp(take(&o, "socket_type") ?: "stream", "dgram") != 0;
	o.wait = strcasecmp(take(&o, "wait") ?: "no", "yes") == 0 ||
		 !o.stream;
	o.internal = holds(xinetd_find(a, "type"), "INTERNAL");
	o.disabled = strcasecmp(take(&o, "disable") ?: "no", "yes") == 0 ||
		     holds(xinetd_find(&x->defaults, "disabled"), id) ||
		     (xinetd_find(&x->defaults, "enabled") &&
		      !holds(xinetd_find(&x->defaults, "enabled"), id));
	import_begin(x->im, id, at);
	ok = can_be(&o);
	if (ok) {
		if (!o.internal || o.stream)
			listen_on(&o);
		ok = who_serves(&o);
	}
	if (!ok) {
		import_drop(x->im);
		return;
	}
	flags(&o);
	take(&o, "type");
	rest(&o);
	if (o.disabled)
		import_set(x->im, "enabled", "no");
	import_end(x->im);
}
