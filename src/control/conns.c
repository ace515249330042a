/*
 * conns - the connections that usher knows of, as JSON.
 *
 * A service may have tens of thousands. They are looked at in one go, since
 * they come and go, but told piece by piece (parts.h).
 */
#include <string.h>

#include "base/addr.h"
#include "base/json_out.h"
#include "control/commands.h"
#include "control/parts.h"

struct seen {
	struct conn_info info;	/* without peer */
	struct addr_name peer;
};

struct listing {
	struct parts parts;
	struct json_out out;	/* its f is a slice's */
	bool begun;
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

static void put_count(struct json_out *o, const char *key, int64_t n)
{
	if (n < 0)
		json_out_text(o, key, NULL);
	else
		json_out_int(o, key, n);
}

static void put_conn(struct listing *l, const struct seen *seen)
{
	const struct conn_info *info = &seen->info;
	struct json_out *o = &l->out;
	char peer[ADDR_TEXT];

	json_out_open(o, NULL, '{');
	json_out_text(o, "service", l->service);
	json_out_int(o, "cookie", (int64_t)info->cookie);
	json_out_text(o, "peer", addr_print(&seen->peer, peer, sizeof(peer)));
	json_out_real(o, "age", (double)info->age_ms / 1000);
	json_out_text(o, "state", info->state);
	put_count(o, "worker", info->worker ? info->worker : -1);
	put_count(o, "up", info->up);
	put_count(o, "down", info->down);
	json_out_close(o, '}');
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

	l->out.f = p->out;
	if (!l->begun) {
		l->begun = true;
		json_out_open(&l->out, NULL, '{');
		json_out_open(&l->out, "connections", '[');
	}
	if (l->told < l->n) {
		put_conn(l, &l->list[l->told++]);
		return true;
	}
	forget(l);
	s = parts_next(p);
	if (!s) {
		json_out_close(&l->out, ']');
		json_out_close(&l->out, '}');
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
