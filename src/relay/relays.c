/*
 * relays - a service's relayed connections: made, ended, told of, taken over.
 *
 * Who they are connected to is dial.c's and upstream.c's business, who has
 * its turn serve.c's, how bytes move flow.c's.
 */
#include "relay/relays.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "inlet/admit.h"
#include "inlet/arrival.h"

/* Descriptors kept back for what is begun already. */
#define ROOM       16
/* What a pipe may hold at most. */
#define BULK_MOST  (1u << 30)

/* ---- who it is ---- */

void relay_conn(const struct relay *r, struct conn *c)
{
	const struct relay_data *d = relay_data(r);

	*c = (struct conn){
		.fd = -1,
		.cookie = record_at(r->record)->id,
		.accepted_us = d->accepted_us,
		.source = d->source,
		.shared = d->flags & RELAY_SHARED,
	};
	packed_to_peer(&d->peer, c);
}

static unsigned kind_of(int fd)
{
	int domain = 0, type = 0;
	socklen_t len = sizeof(int);

	getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len);
	getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len);
	if (type != SOCK_STREAM)
		return SIDE_PACKETS;
	return domain == AF_UNIX ? 0 : SIDE_TCP;
}

static unsigned kind_of_conn(const struct conn *c)
{
	if (!c->endpoint || c->endpoint->addr.kind == ADDR_UNIX_PASS ||
	    c->endpoint->addr.kind == ADDR_FD)
		return kind_of(c->fd);
	if (c->endpoint->addr.kind == ADDR_UNIX_SEQPACKET)
		return SIDE_PACKETS;
	return c->endpoint->addr.kind == ADDR_UNIX ? 0 : SIDE_TCP;
}

void relay_kind_is(struct relay *r, int side, unsigned kind)
{
	struct relay_data *d = relay_data(r);
	unsigned mask = (1 << SIDE_BITS) - 1;

	r->kinds = (uint8_t)((r->kinds & ~(mask << (side * SIDE_BITS))) |
			     kind << (side * SIDE_BITS));
	d->flags = (d->flags & ~(uint32_t)RELAY_KINDS) | RELAY_KNOWN |
		   (uint32_t)r->kinds << RELAY_KINDS_SHIFT;
}

/* ---- life ---- */

static struct relay *hang(struct relays *h, int record)
{
	struct relay *r = xcalloc(1, sizeof(*r));

	r->home = h;
	r->record = record;
	TAILQ_INSERT_TAIL(&h->conns, r, entry);
	h->n++;
	return r;
}

struct relay *relay_new(struct relays *h, struct conn *c,
			enum relay_kind kind)
{
	int record = record_new(RECORD_RELAY, h->service->slot, kind);
	struct relay_data *d;
	struct relay *r;

	if (record < 0)
		return NULL;
	d = RECORD_AS(record, struct relay_data);
	d->flow[0].buffer = d->flow[1].buffer = -1;
	if (kind == RELAY_ECHO)
		d->flow[1].flags = FLOW_EOF | FLOW_SHUT;
	d->accepted_us = c->accepted_us;
	d->source = c->source;
	d->flags = c->shared ? RELAY_SHARED : 0;
	packed_peer(&d->peer, c);
	record_at(record)->id = c->cookie;
	r = hang(h, record);
	relay_kind_is(r, 0, kind_of_conn(c));
	if (kind == RELAY_ECHO)
		relay_kind_is(r, 1, r->kinds);
	record_at(record)->fd[0] = fd_take(&c->fd);
	/* Only such a client can have spoken before. */
	if (!c->endpoint || c->endpoint->addr.kind == ADDR_UNIX_PASS ||
	    h->service->conf->accept_proxy.n)
		relay_count_from(r);
	return r;
}

static void let_go(struct relay *r)
{
	struct relays *h = r->home;

	relay_dial_end(r);
	timer_cancel(h->service->u->loop, &r->timer);
	if (r->todo)
		TAILQ_REMOVE(&h->soon, r, soon);
	for (int k = 0; k < 2; k++)
		flow_end(r, k);
	TAILQ_REMOVE(&h->conns, r, entry);
	h->n--;
	if (relay_data(r)->flags & RELAY_SHARED)
		fd_no_linger(record_at(r->record)->fd[0]);
	record_close(r->record);
	free(r);
}

/* After the round: who is told that all have ended may free H. */
static void on_empty(void *arg)
{
	struct relays *h = arg;

	if (h->n)
		return;
	pipes_close(h);
	if (h->idle)
		h->idle(h);
	else if (h->stopping)
		service_gone(h->service);
}

static void settle(struct relays *h)
{
	if (h->said_no) {
		h->said_no = false;
		service_room(h->service);
	}
	if (h->n == 0)
		task_set(h->service->u->loop, &h->empty, on_empty, h);
}

void relay_end(struct relay *r)
{
	struct relays *h = r->home;
	struct service *s = h->service;
	const struct relay_data *d = relay_data(r);
	struct conn c;

	s->data->served++;
	relay_conn(r, &c);
	arrival_end(s, &(struct conn_end){
		.cookie = c.cookie,
		.source = d->source,
		.accepted_us = d->accepted_us,
		.peer = c.peer,
		.up = (int64_t)(d->flow[0].rd - d->added),
		.down = record_at(r->record)->arg == RELAY_ECHO
			? (int64_t)d->flow[0].wr : (int64_t)d->flow[1].wr,
		.ended = true });
	let_go(r);
	settle(h);
}

/* Closed so, a TCP peer hears a reset, and what waits to be sent is dropped. */
static void cut(struct relay *r)
{
	const struct linger now = { .l_onoff = 1 };

	for (int side = 0; side < 2; side++)
		if (record_at(r->record)->fd[side] >= 0)
			setsockopt(record_at(r->record)->fd[side], SOL_SOCKET,
				   SO_LINGER, &now, sizeof(now));
}

void relay_reset(struct relay *r)
{
	cut(r);
	relay_end(r);
}

void relay_refuse(struct relay *r)
{
	struct relays *h = r->home;
	struct service *s = h->service;
	enum conf_on how = s->conf->on_full == ON_RESET ? ON_RESET : ON_REFUSE;
	struct conn c;

	relay_conn(r, &c);
	c.fd = record_at(r->record)->fd[0];
	record_at(r->record)->fd[0] = -1;
	let_go(r);
	arrival_refuse(s, &c, REFUSED_BACKEND, how);
	settle(h);
}

/* ---- all of a service ---- */

void relays_open(struct relays *h, struct service *s)
{
	const int on = 1;
	struct endpoint *ep;

	if (!h->service) {
		TAILQ_INIT(&h->conns);
		TAILQ_INIT(&h->soon);
		h->service = s;
	}
	/* Accepted sockets have what the door has: a small message goes at
	 * once, and it costs nothing a connection. */
	TAILQ_FOREACH(ep, &s->endpoints, entry)
		if (ep->addr.kind == ADDR_TCP && ep->record >= 0 &&
		    ep->addr.opt.nodelay == ADDR_UNSET)
			setsockopt(record_at(ep->record)->fd[0], IPPROTO_TCP,
				   TCP_NODELAY, &on, sizeof(on));
}

void relays_close(struct relays *h)
{
	struct relay *r;

	if (!h->service)
		return;
	while ((r = TAILQ_FIRST(&h->conns))) {
		cut(r);
		relay_end(r);
	}
	timer_cancel(h->service->u->loop, &h->soon_timer);
	task_cancel(h->service->u->loop, &h->empty);
	pipes_close(h);
	if (h->ups)
		upstreams_close(&h->ups);
}

/* Each needs a record and, until it is connected, two more descriptors. */
bool relays_room(struct relays *h)
{
	if (record_max() - record_count() > ROOM)
		return true;
	h->said_no = true;
	return false;
}

void relays_stop(struct relays *h, bool now)
{
	struct relay *r, *next;

	h->stopping = true;
	for (r = TAILQ_FIRST(&h->conns); now && r; r = next) {
		next = TAILQ_NEXT(r, entry);
		relay_reset(r);
	}
	settle(h);
}

static const char *state_name(const struct relay *r)
{
	if (r->state == RELAY_HELD)
		return "waiting";
	return r->state == RELAY_OPEN ? "open" : "connecting";
}

void relays_conns(const struct relays *h, conn_info_fn *fn, void *arg)
{
	const struct relay *r;

	TAILQ_FOREACH(r, &h->conns, entry) {
		const struct relay_data *d = relay_data(r);
		bool echo = record_at(r->record)->arg == RELAY_ECHO;
		struct conn c;

		relay_conn(r, &c);
		fn(arg, &(struct conn_info){
			.cookie = c.cookie,
			.peer = &c.peer,
			.age_ms = (loop_us() - c.accepted_us) / 1000,
			.up = (int64_t)(d->flow[0].rd - d->added),
			.down = (int64_t)d->flow[echo ? 0 : 1].wr,
			.state = state_name(r) });
	}
}

int relays_kill(struct relays *h, uint64_t cookie)
{
	struct relay *r;

	TAILQ_FOREACH(r, &h->conns, entry)
		if (record_at(r->record)->id == cookie) {
			relay_reset(r);
			return 0;
		}
	return -ENOENT;
}

void relays_changed(struct relays *h)
{
	struct relay *r;

	relays_open(h, h->service);
	if (h->ups)
		upstreams_changed(h->ups);
	TAILQ_FOREACH(r, &h->conns, entry)
		if (r->state == RELAY_OPEN)
			relay_watch_idle(r);
}

/* ---- after a take-over ---- */

static bool sane(const struct relay_data *d, const struct record *rec)
{
	bool two = rec->arg != RELAY_ECHO && d->flags & RELAY_CONNECTED;

	if (rec->fd[0] < 0 || (two && rec->fd[1] < 0))
		return false;
	for (int k = 0; k < 2; k++) {
		const struct flow *f = &d->flow[k];
		uint64_t in_flight = f->rd - f->wr;

		if (f->wr > f->rd || f->buffer < -1)
			return false;
		if (f->buffer >= 0 &&
		    (f->start > f->wr || f->rd - f->start > RECORD_BUFFER))
			return false;
		if (f->buffer < 0 && in_flight > BULK_MOST)
			return false;
		if (f->buffer < 0 && in_flight && rec->fd[2 + 2 * k] < 0)
			return false;
	}
	return true;
}

/* Its buffers are ours again; the one that isn't is no longer named. */
static bool claim(struct relay_data *d)
{
	bool all = true;

	for (int k = 0; k < 2; k++)
		if (d->flow[k].buffer >= 0 &&
		    record_buffer_claim(d->flow[k].buffer) < 0) {
			d->flow[k].buffer = -1;
			all = false;
		}
	return all;
}

static void count_again(struct relay *r)
{
	struct conn c;

	relay_conn(r, &c);
	c.source = 0;
	admit_enter(r->home->service, &c);
	relay_data(r)->source = c.source;
}

/* What a clean state says need not be asked. */
static void learn_kinds(struct relay *r)
{
	const struct relay_data *d = relay_data(r);
	const int *fd = record_at(r->record)->fd;

	if (record_was_clean() && d->flags & RELAY_KNOWN) {
		r->kinds = (d->flags & RELAY_KINDS) >> RELAY_KINDS_SHIFT;
		return;
	}
	relay_kind_is(r, 0, kind_of(fd[0]));
	if (record_at(r->record)->arg == RELAY_ECHO)
		relay_kind_is(r, 1, r->kinds);
	else if (fd[1] >= 0)
		relay_kind_is(r, 1, kind_of(fd[1]));
}

struct relay *relay_hang(struct relays *h, int record)
{
	struct relay_data *d = RECORD_AS(record, struct relay_data);
	bool good = claim(d) && sane(d, record_at(record));
	struct relay *r = hang(h, record);
	const int *fd = record_at(record)->fd;

	loop_attach(h->service->u->loop, record, relay_on_event, r);
	count_again(r);
	learn_kinds(r);
	if (h->ups && fd[1] >= 0) {
		r->up = upstream_by_id(h->ups, d->upstream);
		if (r->up)
			r->up->conns++;
	}
	if (!good || ((d->flags & RELAY_CONNECTED) && relay_recount(r) < 0)) {
		relay_reset(r);
		return NULL;
	}
	return r;
}
