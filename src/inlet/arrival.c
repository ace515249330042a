/*
 * arrival - from an accepted socket to the service's handler; see arrival.h.
 */
#include "inlet/arrival.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "inlet/admit.h"
#include "inlet/listener.h"
#include "inlet/packed.h"
#include "inlet/passed.h"
#include "inlet/proxy.h"

/* What waits for its handler: RECORD_CONN with the conn inside, and an entry
 * of ours. */
struct conn_wait {
	TAILQ_ENTRY(conn_wait) entry;
	struct conn c;
	int record;
	bool first;		/* before those who were never handed on */
};

/* RECORD_CONN's data with CONN_WAITING. */
struct waiting_data {
	int64_t accepted_us;
	uint32_t proxied;	/* then what its header said */
	uint32_t returned;	/* it was handed on before */
	uint32_t offered;	/* 1: the handler may have it */
	uint32_t shared;	/* another may have it */
	struct packed peer, local;
};

static void describe(struct service *s, struct endpoint *ep, int fd,
		     const struct addr_name *peer, struct conn *c)
{
	c->fd = fd;
	c->endpoint = ep;
	c->cookie = fd_cookie(fd);
	c->accepted_us = loop_us();
	c->peer = *peer;
	c->source = 0;
	c->proxied = false;
	c->returned = c->kept = c->shared = false;
	c->is_unix = peer->u.sa.sa_family == AF_UNIX;
	c->has_cred = c->is_unix && fd_peercred(fd, &c->cred);
	if (ep && !ep->wildcard) {
		c->local = ep->name;
	} else {
		c->local.len = sizeof(c->local.u);
		if (getsockname(fd, &c->local.u.sa, &c->local.len) < 0)
			c->local.len = 0;
	}
	addr_unmap(&c->peer);
	addr_unmap(&c->local);
	(void)s;
}

static const char *who(const struct conn *c, char *buf)
{
	return addr_print(&c->peer, buf, ADDR_TEXT);
}

static void log_start(struct service *s, const struct conn *c)
{
	char peer[ADDR_TEXT];

	if (!s->conf->log_connections)
		return;
	log_write(LOG_LEVEL_INFO,
		  &(struct log_about){ .service = s->name,
				       .cookie = c->cookie,
				       .event = "start",
				       .source = who(c, peer) },
		  "start %llu from %s", (unsigned long long)c->cookie, peer);
}

/* What the client has said already is read: closing on it would be a reset,
 * and the reset would overtake TEXT. */
static void say_no(int fd, const char *text)
{
	char said[4096];

	if (text)
		send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
	recv(fd, said, sizeof(said), MSG_DONTWAIT);
}

static void count_refused(struct service *s, uint64_t cookie,
			  const char *source, enum refusal why)
{
	service_refused(s, why);
	if (s->conf->log_connections)
		log_write(LOG_LEVEL_INFO,
			  &(struct log_about){ .service = s->name,
					       .cookie = cookie,
					       .event = "refused",
					       .source = source },
			  "refused %llu from %s: %s",
			  (unsigned long long)cookie, source,
			  refusal_name(why));
}

void arrival_refuse(struct service *s, struct conn *c, enum refusal why,
		    enum conf_on how)
{
	const struct linger reset = { .l_onoff = 1 };
	char peer[ADDR_TEXT];

	count_refused(s, c->cookie, who(c, peer), why);
	if (how == ON_RESET)
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset,
			   sizeof(reset));
	else
		say_no(c->fd, s->conf->refuse_message);
	if (how != ON_RESET && c->shared)
		fd_no_linger(c->fd);
	admit_leave(s, c->source);
	fd_closep(&c->fd);
	if (s->u->on_end)
		s->u->on_end(s, c->cookie, -1, -1);
}

void arrival_end(struct service *s, const struct conn_end *e)
{
	char peer[ADDR_TEXT], worker[32] = "", bytes[64] = "";

	admit_leave(s, e->source);
	if (s->u->on_end)
		s->u->on_end(s, e->cookie, e->up, e->down);
	if (e->refused) {
		addr_print(&e->peer, peer, sizeof(peer));
		count_refused(s, e->cookie, peer, REFUSED_BACKEND);
		return;
	}
	if (!e->ended || !s->conf->log_connections)
		return;
	if (e->worker)
		snprintf(worker, sizeof(worker), " worker %d",
			 (int)e->worker);
	if (e->up >= 0)
		snprintf(bytes, sizeof(bytes), " bytes %lld up %lld down",
			 (long long)e->up, (long long)e->down);
	addr_print(&e->peer, peer, sizeof(peer));
	log_write(LOG_LEVEL_INFO,
		  &(struct log_about){ .service = s->name,
				       .cookie = e->cookie,
				       .event = "end",
				       .source = peer },
		  "end %llu from %s after %lld ms%s%s",
		  (unsigned long long)e->cookie, peer,
		  (long long)(loop_us() - e->accepted_us) / 1000, worker,
		  bytes);
}

/* ---- waiting for room ---- */

/* Behind the others, or FIRST: behind those that came back before it. */
static void line_up(struct service *s, struct conn_wait *w, bool first)
{
	struct conn_wait *after = first ? TAILQ_FIRST(&s->waiting) : NULL;

	while (after && after->first)
		after = TAILQ_NEXT(after, entry);
	w->first = first;
	if (after)
		TAILQ_INSERT_BEFORE(after, w, entry);
	else
		TAILQ_INSERT_TAIL(&s->waiting, w, entry);
}

static void hang(struct service *s, const struct conn *c, int record,
		 bool first)
{
	struct conn_wait *w = xcalloc(1, sizeof(*w));

	w->c = *c;
	w->c.kept = true;
	w->record = record;
	line_up(s, w, first);
	service_hold(s, HOLD_FULL);
}

static int keep(struct service *s, struct conn *c, bool first)
{
	int record = record_new(RECORD_CONN, s->slot, CONN_WAITING);
	struct waiting_data *d;

	if (record < 0)
		return record;
	d = RECORD_AS(record, struct waiting_data);
	d->accepted_us = c->accepted_us;
	d->proxied = c->proxied;
	d->returned = c->returned;
	d->shared = c->shared;
	packed_peer(&d->peer, c);
	packed_local(&d->local, c);
	record_set_fd(record, 0, c->fd);
	record_at(record)->id = c->cookie;
	record_commit(record);
	hang(s, c, record, first);
	return 0;
}

static void let_go(struct service *s, struct conn_wait *w)
{
	TAILQ_REMOVE(&s->waiting, w, entry);
	free(w);
}

static int offer(struct service *s, struct conn *c)
{
	int r;

	if (s->conf->on_full != ON_WAIT && !service_has_room(s)) {
		arrival_refuse(s, c, REFUSED_FULL, s->conf->on_full);
		return -EBUSY;
	}
	r = s->handler->arrive(s, c);
	if (r == -EAGAIN)
		r = keep(s, c, false);
	if (r < 0)
		arrival_refuse(s, c, REFUSED_FULL, ON_RESET);
	return r;
}

static void on_room(void *arg)
{
	struct service *s = arg;
	struct conn_wait *w;

	while ((w = TAILQ_FIRST(&s->waiting))) {
		int record = w->record;
		struct waiting_data *d = RECORD_AS(record,
						   struct waiting_data);

		d->offered = 1;
		if (s->handler->arrive(s, &w->c) == -EAGAIN) {
			d->offered = 0;
			return;
		}
		record_forget(record);
		let_go(s, w);
	}
	service_release(s, HOLD_FULL);
}

void arrival_room(struct service *s)
{
	task_set(s->u->loop, &s->offer, on_room, s);
}

bool arrival_is_waiting(const struct service *s, uint64_t cookie)
{
	const struct conn_wait *w;

	TAILQ_FOREACH(w, &s->waiting, entry)
		if (w->c.cookie == cookie)
			return true;
	return false;
}

int arrival_return(struct service *s, struct conn *c)
{
	int r;

	/* At a kill both may be there: what waited, and its hand-off. */
	if (arrival_is_waiting(s, c->cookie)) {
		fd_closep(&c->fd);
		return 0;
	}
	r = keep(s, c, true);
	if (r < 0)	/* the state is full: now, or never */
		r = s->handler->arrive(s, c);
	if (r < 0)
		arrival_refuse(s, c, REFUSED_FULL, ON_RESET);
	return r;
}

uint32_t arrival_waiting(const struct service *s)
{
	const struct conn_wait *w;
	uint32_t n = 0;

	TAILQ_FOREACH(w, &s->waiting, entry)
		n++;
	return n;
}

int arrival_drop_waiting(struct service *s)
{
	struct conn_wait *w;
	int n = 0;

	for (; (w = TAILQ_FIRST(&s->waiting)); n++) {
		record_forget(w->record);
		arrival_refuse(s, &w->c, REFUSED_FULL, ON_RESET);
		let_go(s, w);
	}
	return n;
}

/* ---- the way in ---- */

int arrival_go_on(struct service *s, struct conn *c)
{
	enum conf_on how = ON_REFUSE;
	int verdict = admit_check(s, c, &how);

	if (verdict) {
		arrival_refuse(s, c, (enum refusal)(verdict - 1), how);
		return -EACCES;
	}
	log_start(s, c);
	return offer(s, c);
}

int arrival_take(struct service *s, struct endpoint *ep, int fd,
		 const struct addr_name *peer)
{
	struct conn c;

	if (ep && ep->addr.kind == ADDR_UNIX_PASS)
		return passed_begin(ep, fd);
	describe(s, ep, fd, peer, &c);
	c.shared = !ep;
	if (proxy_wanted(s, &c))
		return proxy_begin(s, &c);
	return arrival_go_on(s, &c);
}

int arrival_describe(struct service *s, int fd, struct conn *c)
{
	struct addr_name peer = { .len = sizeof(peer.u) };

	if (getpeername(fd, &peer.u.sa, &peer.len) < 0)
		return -errno;
	describe(s, NULL, fd, &peer, c);
	return 0;
}

bool arrival_was_offered(int record)
{
	return RECORD_AS(record, struct waiting_data)->offered != 0;
}

int arrival_adopt(struct service *s, int record)
{
	const struct waiting_data *d = RECORD_AS(record, struct waiting_data);
	struct conn c;
	int r = arrival_describe(s, record_at(record)->fd[0], &c);

	if (r < 0)
		return r;
	c.accepted_us = d->accepted_us;
	c.proxied = d->proxied;
	c.returned = d->returned;
	c.shared = d->shared;
	if (c.proxied) {
		packed_to_peer(&d->peer, &c);
		packed_to_local(&d->local, &c);
	}
	if (!c.returned)	/* else its hand-off has counted it */
		admit_enter(s, &c);
	hang(s, &c, record, c.returned);
	service_room(s);
	return 0;
}
