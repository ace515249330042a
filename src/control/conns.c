/*
 * conns - the connections that usher knows of, as JSON.
 *
 * A service may have tens of thousands. They are looked at in one go, since
 * they come and go, but told piece by piece (parts.h).
 */
#include <string.h>

#include "base/addr.h"
#include "control/commands.h"
#include "control/parts.h"

struct seen {
	struct conn_info info;	/* without peer */
	struct addr_name peer;
};

struct listing {
	struct parts parts;
	bool begun, some;
	bool only;		/* from cidr */
	struct addr_cidr cidr;
	/* Of one service, told up to `told`. */
	char *service;
	struct seen *list;
	size_t n, told;
};

static void note(void *arg, const struct conn_info *info)
{
	struct listing *l = arg;

	if (l->only && !addr_cidr_match(&l->cidr, info->peer))
		return;
	/* By doubling: the capacity is the next power of two. */
	if ((l->n & (l->n - 1)) == 0)
		l->list = xrealloc(l->list, (l->n ? l->n * 2 : 1) *
					    sizeof(*l->list));
	l->list[l->n++] = (struct seen){ *info, *info->peer };
}

static void put_conn(struct listing *l, const struct seen *seen)
{
	const struct conn_info *info = &seen->info;
	json_t *o = json_object();
	char peer[ADDR_TEXT];

	json_put_text(o, "service", l->service);
	json_put_int(o, "cookie", (int64_t)info->cookie);
	json_put_text(o, "peer", addr_print(&seen->peer, peer, sizeof(peer)));
	json_put(o, "age", json_real((double)info->age_ms / 1000));
	json_put_text(o, "state", info->state);
	json_put(o, "worker", info->worker ? json_integer(info->worker)
					   : json_null());
	json_put(o, "up", info->up < 0 ? json_null()
				       : json_integer(info->up));
	json_put(o, "down", info->down < 0 ? json_null()
					   : json_integer(info->down));
	if (l->some)
		fputc(',', l->parts.out);
	l->some = true;
	parts_put(&l->parts, o);
}

static void forget(struct listing *l)
{
	free(TAKE(l->service));
	free(TAKE(l->list));
	l->n = l->told = 0;
}

static bool put_next(struct parts *p)
{
	struct listing *l = (struct listing *)p;
	const struct service *s;

	if (!l->begun) {
		l->begun = true;
		fputs("{\"connections\":[", p->out);
	}
	if (l->told < l->n) {
		put_conn(l, &l->list[l->told++]);
		return true;
	}
	forget(l);
	s = parts_next(p);
	if (!s) {
		fputs("]}", p->out);
		return false;
	}
	if (s->work && s->handler->conns) {
		l->service = xstrdup(s->name);
		s->handler->conns(s, note, l);
	}
	return true;
}

static void conns_end(struct parts *p)
{
	forget((struct listing *)p);
}

enum call_result do_connections(struct call *c)
{
	const char *from = call_text(c, "from");
	struct listing *l = xcalloc(1, sizeof(*l));

	l->only = from != NULL;
	if (from && addr_cidr_parse(from, &l->cidr) < 0) {
		free(l);
		return call_invalid(c, "from", "not '%s'; an address or CIDR",
				    from);
	}
	l->parts.step = put_next;
	l->parts.end = conns_end;
	return parts_begin(c, &l->parts);
}
