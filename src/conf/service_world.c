/*
 * service_world - does the world have what a service names: its program, its
 * user, its directories, its hosts; and do its doors fit their kinds?
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/derive.h"
#include "conf/doors.h"
#include "conf/service.h"

static struct conf_where where(const struct conf_service *s, const char *key)
{
	struct conf_where w = derive_where(s, key_index(key_of_service(key)));

	return w.file ? w : s->where;
}

/* --- doors --------------------------------------------------------------- */

/* What an address of listen may be. NULL: it may. */
static const char *unfit_listen(const struct conf_service *s,
				const struct addr *a)
{
	unsigned acts = derive_acts(s);
	bool wait = acts & ACT_SH && s->protocol == PROTOCOL_WAIT;
	bool fifo = acts & ACT_SH && (s->protocol == PROTOCOL_POSTFIX ||
				      s->protocol == PROTOCOL_SYSTEMD);

	if (a->kind == ADDR_UDP && !wait)
		return "udp: needs protocol = wait";
	if (a->kind == ADDR_UNIX_DGRAM && !(acts & ACT_SH))
		return "a datagram socket has no connections; it needs "
		       "handoff = share, or is a trigger";
	if (a->kind == ADDR_FIFO && !fifo)
		return "a FIFO has no connections; it is a trigger, or needs "
		       "protocol = postfix or systemd with handoff = share";
	if (a->kind == ADDR_UNIX_PASS && acts & ACT_SH &&
	    s->protocol != PROTOCOL_POSTFIX)
		return "unix-pass: brings descriptors, which workers under "
		       "share would have to receive; use pass, spawn or relay";
	return NULL;
}

static const char *unfit_trigger(const struct addr *a)
{
	if (a->kind == ADDR_UDP)
		return "udp: is for listen with protocol = wait";
	if (a->kind == ADDR_UNIX_PASS)
		return "unix-pass: brings connections; it is for listen";
	return NULL;
}

static const char *unfit_relay(const struct addr *a)
{
	const struct addr_options *o = &a->opt;

	if (a->kind != ADDR_TCP && a->kind != ADDR_UNIX)
		return "an upstream is tcp: or unix:";
	if (a->kind == ADDR_TCP && !a->host)
		return "an upstream needs a host";
	if (o->name || o->mode >= 0 || o->owner || o->group ||
	    o->backlog >= 0 || o->v6only != ADDR_UNSET ||
	    o->freebind != ADDR_UNSET || o->defer != ADDR_UNSET ||
	    o->fastopen >= 0)
		return "name, mode, owner, group, backlog, v6only, freebind, "
		       "defer and fastopen are options of listening sockets";
	return NULL;
}

/* Does the world have the user, or the group, NAME? NULL: nothing named. */
static bool is_known(struct load *l, const char *user, const char *group)
{
	const struct child_user *u;
	const char *missing = NULL;

	return (!user && !group) ||
	       world_user(&l->world, user, group, &u, &missing) == 0;
}

/* One by one: an unknown user does not hide an unknown group. */
static void check_owner(struct load *l, const struct conf_service *s,
			const char *key, const struct conf_addr *a)
{
	const struct addr_options *o = &a->addr.opt;

	if (!is_known(l, o->owner, NULL))
		load_missing(l, a->where, s->title, key,
			     "unknown user '%s' in %s", o->owner,
			     a->addr.text);
	if (!is_known(l, NULL, o->group))
		load_missing(l, a->where, s->title, key,
			     "unknown group '%s' in %s", o->group,
			     a->addr.text);
}

/* Two doors can't be the same, whoever has them, and none where another one
 * leaves no room. */
static void check_door(struct load *l, struct conf_service *s,
		       const char *key, struct conf_addr *a)
{
	const struct door own = { s->title, a->addr.text, a->where };
	CLEANUP(freep) char *place = NULL;
	const struct door *other;

	if (!s->enabled)
		return;
	other = doors_take(l, &own, &a->addr, s->spool);
	if (!other)
		return;
	place = other->where.line ? xasprintf("%s:%u", other->where.file,
					      other->where.line)
				  : xstrdup("the default");
	if (strcmp(other->text, own.text) != 0)
		load_missing(l, a->where, s->title, key,
			     "%s: no room beside %s, a door of %s (%s); of "
			     "two that overlap one must go", own.text,
			     other->text, other->title, place);
	else if (other->title == own.title)
		load_error(l, a->where, s->title, key, "%s twice", own.text);
	else
		load_error(l, a->where, s->title, key,
			   "%s is a door of %s too (%s); one of the two must "
			   "go", own.text, other->title, place);
}

static void resolve(struct load *l, struct conf_service *s, const char *key,
		    struct conf_where at, struct addr *a, bool passive)
{
	CLEANUP(freep) char *why = NULL;

	if (!l->src->resolve || (a->kind != ADDR_TCP && a->kind != ADDR_UDP))
		return;
	if (addr_resolve(a, passive, &why) < 0)
		load_missing(l, at, s->title, key, "%s", why);
}

static void note_port(struct load *l, const struct conf_service *s,
		      const char *key, const struct conf_addr *a)
{
	const struct addr *d = &a->addr;
	unsigned port = d->nnames ? addr_port(&d->names[0]) : 0;

	if ((d->kind == ADDR_TCP || d->kind == ADDR_UDP) &&
	    !world_may_bind(&l->world, port))
		load_note(l, a->where, s->title, key,
			  "port %u needs the right CAP_NET_BIND_SERVICE, "
			  "which this process has not; under systemd the "
			  "drop-in " CONF_PORTS_DROPIN " gives it", port);
}

static void check_addrs(struct load *l, struct conf_service *s,
			const char *key, struct conf_addrs *list, bool shaped)
{
	for (size_t i = 0; i < list->n; i++) {
		struct conf_addr *a = &list->v[i];
		bool upstream = list == &s->relay;
		const char *why = upstream ? unfit_relay(&a->addr)
				  : list == &s->trigger
					  ? unfit_trigger(&a->addr)
				  : shaped ? unfit_listen(s, &a->addr) : NULL;

		if (!why && !upstream && a->addr.opt.source)
			why = "source= is an option of upstreams";
		if (why) {
			load_error(l, a->where, s->title, key, "%s: %s",
				   a->addr.text, why);
			continue;
		}
		check_owner(l, s, key, a);
		resolve(l, s, key, a->where, &a->addr, !upstream);
		if (upstream)
			continue;
		check_door(l, s, key, a);
		note_port(l, s, key, a);
	}
}

/* --- the program --------------------------------------------------------- */

static void check_program(struct load *l, struct conf_service *s)
{
	CLEANUP(freep) char *path = NULL;
	const char *why;

	if (!s->program)
		return;
	path = xasprintf("%s%s", s->root ? s->root : "", s->program);
	why = world_program(&l->world, path);
	if (why)
		load_missing(l, where(s, "exec"), s->title, "exec", "%s", why);
}

/* Is PATH, where there is one, a directory? */
static bool check_directory(struct load *l, struct conf_service *s,
			    const char *key, const char *path)
{
	struct stat st;

	if (!path)
		return true;
	if (stat(path, &st) < 0)
		load_missing(l, where(s, key), s->title, key, "%s: %s", path,
			     strerror(errno));
	else if (!S_ISDIR(st.st_mode))
		load_missing(l, where(s, key), s->title, key,
			     "%s is no directory", path);
	else
		return true;
	return false;
}

/* Nobody: who a worker would be if it were started all the same. */
#define NOBODY 65534

static void unknown(struct load *l, struct conf_service *s, const char *key,
		    const char *name)
{
	load_missing(l, where(s, key), s->title, key,
		     "unknown %s '%s'; getent %s lists them", key, name,
		     strcmp(key, "user") == 0 ? "passwd" : "group");
	if (!s->broken)
		s->broken = xasprintf("unknown %s '%s'", key, name);
}

static void check_user(struct load *l, struct conf_service *s)
{
	const struct child_user *u;
	const char *missing = NULL;
	const char *key = s->user ? "user" : "group";
	int r;

	if (!s->user && !s->group)
		return;
	r = world_user(&l->world, s->user, s->group, &u, &missing);
	if (r == 0) {
		world_user_copy(&s->who, u);
		s->who.identity.no_new_privs = s->no_new_privileges;
		if (!world_may_become(&l->world, &u->identity))
			load_missing(l, where(s, key), s->title, key,
				     "usher may not become '%s'; it runs "
				     "without CAP_SETUID and CAP_SETGID (root "
				     "has them; under systemd see User= and "
				     "AmbientCapabilities=)",
				     s->user ? s->user : s->group);
		return;
	}
	if (!is_known(l, s->user, NULL))
		unknown(l, s, "user", s->user);
	if (!is_known(l, NULL, s->group))
		unknown(l, s, "group", s->group);
	if (!s->broken)		/* both are there, yet together they fail */
		unknown(l, s, key, missing ?: s->user ?: s->group);
	s->who.identity = (struct child_identity){
		.set_user = true, .uid = NOBODY, .gid = NOBODY,
	};
}

/* Read at each start, outside of root. A leading '-' lets it be missing. */
static void check_env_files(struct load *l, struct conf_service *s)
{
	struct conf_where at = where(s, "environment_file");

	for (size_t i = 0; i < s->environment_file.n; i++) {
		const char *path = s->environment_file.v[i];
		struct stat st;

		if (*path == '-')
			continue;
		if (access(path, R_OK) < 0)
			load_missing(l, at, s->title, "environment_file",
				     "%s: %s; a '-' before the path lets it "
				     "be missing", path, strerror(errno));
		else if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
			load_missing(l, at, s->title, "environment_file",
				     "%s is a directory", path);
	}
}

static void check_surroundings(struct load *l, struct conf_service *s)
{
	CLEANUP(freep) char *inside = NULL;

	if (s->root && !world_may_chroot(&l->world))
		load_missing(l, where(s, "root"), s->title, "root",
			     "usher may not change a root directory; it runs "
			     "without CAP_SYS_CHROOT");
	if (!s->root && derive_is_set(s, "root"))
		return;		/* a wrong one: nobody knows what is inside */
	if (!check_directory(l, s, "root", s->root))
		return;		/* what is inside can't be there either */
	check_program(l, s);
	if (s->directory)
		inside = xasprintf("%s%s", s->root ? s->root : "",
				   s->directory);
	check_directory(l, s, "directory", inside);
}

void service_world(struct load *l, struct conf_service *s, bool shaped)
{
	check_addrs(l, s, "listen", &s->listen, shaped);
	check_addrs(l, s, "trigger", &s->trigger, shaped);
	check_addrs(l, s, "relay", &s->relay, shaped);
	if (s->ready.kind == READY_PROBE && s->ready.probe)
		resolve(l, s, "ready", where(s, "ready"), s->ready.probe,
			false);
	s->who.identity.no_new_privs = s->no_new_privileges;
	check_surroundings(l, s);
	check_env_files(l, s);
	check_user(l, s);
}
