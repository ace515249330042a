/*
 * request - what arrives at a trigger endpoint; see request.h.
 *
 * Here are the set of a service's requests, the holds of its endpoints and
 * the buffers. Connections are read in request_conn.c, FIFOs and datagrams in
 * request_door.c, requests are cut in frame.c.
 */
#include "inlet/request.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "inlet/admit.h"
#include "inlet/listener.h"
#include "inlet/request_private.h"
#include "inlet/spool.h"

/* Holds of a service that keep triggers out too. That its handler has no
 * room does not: triggers wait, and coalesce, in their own queue. */
#define HOLDS (HOLD_PAUSE | HOLD_DRAIN | HOLD_SHARED)
/* Bursts that a door which closes is read at most: who writes all the time
 * can't keep it open. */
#define DRAIN_MOST 1000

struct frame request_frame(const struct service *s)
{
	return (struct frame){
		.max = (size_t)s->conf->trigger_max,
		.size = (size_t)s->conf->trigger_frame,
	};
}

bool request_admitted(struct service *s, const struct conn *c)
{
	int verdict = admit_trigger(s, c);

	if (verdict)
		service_refused(s, (enum refusal)(verdict - 1));
	return verdict == 0;
}

/* ---- buffers ---- */

int request_record(struct request *q, enum request_kind kind, int fd)
{
	struct request_data *d;
	int record = record_new(RECORD_REQUEST, q->set->service->slot, kind);

	if (record < 0)
		return record;
	q->record = record;
	d = request_data(q);
	d->buffer = -1;
	d->door = q->ep ? (uint32_t)q->ep->record : UINT32_MAX;
	if (fd >= 0) {
		record_set_fd(record, 0, fd);
		record_at(record)->id = fd_cookie(fd);
	}
	record_commit(record);
	return 0;
}

/* What one buffer holds at most: all of it for a FIFO, a request and what
 * tells that it is too long for a connection or a datagram. */
static size_t room_of(const struct request *q)
{
	const struct frame f = request_frame(q->set->service);
	size_t want = (f.size ? f.size : f.max) + 4;

	if (record_at(q->record)->arg == REQUEST_DOOR &&
	    q->kind == ADDR_FIFO)
		return RECORD_BUFFER;
	return want < RECORD_BUFFER ? want : RECORD_BUFFER;
}

char *request_buffer(struct request *q)
{
	struct request_data *d = request_data(q);

	if (d->buffer < 0) {
		int number = record_buffer_new();

		if (number < 0)
			return NULL;
		memset(record_buffer(number), REQUEST_BLANK, RECORD_BUFFER);
		d->buffer = number;
	}
	return record_buffer(d->buffer);
}

size_t request_space(const struct request *q)
{
	size_t room = room_of(q), len = request_data(q)->len;

	return len < room ? room - len : 0;
}

/*
 * Bytes move to the front in steps that can be done again: none writes over
 * what it reads. MOVED says how far that is, and then that it is done, so that
 * a kill in between is made good by request_mend.
 */
static void set_moved(struct request_data *d, uint64_t moved)
{
	atomic_signal_fence(memory_order_seq_cst);
	d->moved = moved;
	atomic_signal_fence(memory_order_seq_cst);
}

/* N bytes are at the front; behind them, up to UP, was something. */
static void settle(struct request_data *d, char *buf, uint32_t n, uint32_t up)
{
	set_moved(d, REQUEST_MOVED | n);
	d->at = 0;
	d->len = n;
	memset(buf + n, REQUEST_BLANK, up - n);
	set_moved(d, 0);
}

static void move(struct request_data *d, char *buf, uint32_t up)
{
	uint32_t n = d->len - d->at, done = (uint32_t)d->moved;

	while (done < n) {
		uint32_t step = n - done < d->at ? n - done : d->at;

		memcpy(buf + done, buf + d->at + done, step);
		done += step;
		set_moved(d, done);
	}
	settle(d, buf, n, up);
}

void request_mend(struct request_data *d, char *buf)
{
	if (d->moved & REQUEST_MOVED)
		settle(d, buf, (uint32_t)d->moved, RECORD_BUFFER);
	else if (d->moved)
		move(d, buf, RECORD_BUFFER);
}

void request_used(struct request *q, size_t used)
{
	struct request_data *d = request_data(q);

	d->at += (uint32_t)used;
	if (d->at >= d->len && d->buffer >= 0)
		settle(d, record_buffer(d->buffer), 0, d->len);
}

void request_compact(struct request *q)
{
	struct request_data *d = request_data(q);

	if (d->at)
		move(d, record_buffer(d->buffer), d->len);
}

void request_end(struct request *q)
{
	int buffer = q->record < 0 ? -1 : request_data(q)->buffer;

	timer_cancel(q->set->service->u->loop, &q->timer);
	timer_cancel(q->set->service->u->loop, &q->lull);
	record_close(q->record);
	if (buffer >= 0)
		record_buffer_end(buffer);
	free(q);
}

static bool is_sound(const struct request_data *d)
{
	uint64_t moved = d->moved & ~REQUEST_MOVED;

	if (d->end > FRAME_SIZE)
		return false;
	if (d->moved & REQUEST_MOVED)
		return moved <= RECORD_BUFFER;
	return d->len <= RECORD_BUFFER && d->at <= d->len &&
	       (!moved || (d->at && moved <= d->len - d->at));
}

static void forget_bytes(struct request_data *d)
{
	d->buffer = -1;
	d->at = d->len = 0;
	d->moved = 0;
	d->whole = 0;
}

/* A kill between read() and the count of what it brought: the bytes that are
 * not blank were read. */
int request_recover(struct request *q)
{
	struct request_data *d = request_data(q);
	uint32_t n = RECORD_BUFFER;
	char *buf;

	if (record_level() < MOVED_LEVEL)
		d->moved = 0;
	if (d->buffer < 0) {
		forget_bytes(d);
		return 0;
	}
	if (!is_sound(d) || record_buffer_claim(d->buffer) < 0) {
		forget_bytes(d);
		return -EINVAL;
	}
	buf = record_buffer(d->buffer);
	request_mend(d, buf);
	if (d->whole)
		return 0;
	while (n > d->len && (unsigned char)buf[n - 1] == REQUEST_BLANK)
		n--;
	d->len = n;
	/* A datagram came whole, but who sent it is not known any more. */
	if (q->kind == ADDR_UNIX_DGRAM && n > 0) {
		if (q->set->service->conf->rules.n)
			request_used(q, n - d->at);
		else
			d->whole = 1;
	}
	return 0;
}

/* ---- looking ---- */

static void on_event(void *arg, uint32_t events)
{
	struct endpoint *ep = arg;
	const struct request *q = ep->request;

	(void)events;
	if (q->kind == ADDR_FIFO || q->kind == ADDR_UNIX_DGRAM)
		request_door_read(ep);
	else
		request_accept(ep);
}

static void look(struct endpoint *ep)
{
	struct loop *l = ep->service->u->loop;
	int r;

	if (ep->watched)
		return;
	r = loop_resume(l, ep->record, 0, EPOLLIN, on_event, ep);
	if (r < 0)
		service_log(ep->service, LOG_LEVEL_ERROR,
			    "%s: can't be watched: %s", ep->addr.text,
			    strerror(-r));
	ep->watched = r == 0;
}

static void update(struct endpoint *ep)
{
	bool held = ep->holds || (ep->service->holds & HOLDS);

	if (!held) {
		look(ep);
	} else if (ep->watched) {
		loop_unwatch(ep->service->u->loop, ep->record, 0);
		ep->watched = false;
	}
}

static struct requests *set_of(const struct endpoint *ep)
{
	const struct request *q = ep->request;

	return q ? q->set : NULL;
}

int request_watch(struct requests *r, struct endpoint *ep)
{
	int error = ep->request ? 0 : request_door_new(r, ep, -1);

	if (error < 0)
		return error;
	if (r->full)
		ep->holds |= HOLD_FULL;
	ep->update = update;
	update(ep);
	if (ep->addr.kind == ADDR_FIFO && !ep->spooled)
		spool_watch(ep);
	ep->spooled = ep->addr.kind == ADDR_FIFO;
	return 0;
}

void request_drain(struct endpoint *ep)
{
	struct request *q = ep->request;

	for (int i = 0; q && !q->set->full && i < DRAIN_MOST; i++) {
		struct pollfd p = { .fd = record_at(ep->record)->fd[0],
				    .events = POLLIN };

		if (poll(&p, 1, 0) != 1 || (ep->holds & HOLD_REST))
			return;
		on_event(ep, 0);
	}
}

void request_leave(struct endpoint *ep)
{
	struct request *q = ep->request, *c;

	if (!q)
		return;
	request_drain(ep);
	if (ep->spooled)
		spool_leave(ep);
	ep->spooled = false;
	ep->holds |= HOLD_FULL;
	update(ep);
	ep->holds &= ~(uint32_t)(HOLD_FULL | HOLD_LULL);
	TAILQ_FOREACH(c, &q->set->conns, entry)
		if (c->ep == ep)
			c->ep = NULL;
	TAILQ_FOREACH(c, &q->set->kept, entry)
		if (c->ep == ep)
			c->ep = NULL;
	ep->request = NULL;
	ep->update = NULL;
	request_end(q);
}

/* ---- room ---- */

void requests_full(struct requests *r)
{
	struct endpoint *ep;

	if (r->full)
		return;
	r->full = true;
	TAILQ_FOREACH(ep, &r->service->endpoints, entry)
		if (set_of(ep) == r)
			endpoint_hold(ep, HOLD_FULL);
}

void requests_room(struct requests *r)
{
	struct endpoint *ep;

	if (!r->full)
		return;
	r->full = false;
	request_offer_kept(r);
	TAILQ_FOREACH(ep, &r->service->endpoints, entry) {
		if (r->full)
			return;
		if (set_of(ep) == r)
			request_door_go_on(ep);
	}
	TAILQ_FOREACH(ep, &r->service->endpoints, entry)
		if (!r->full && set_of(ep) == r)
			endpoint_release(ep, HOLD_FULL);
}

/* ---- life ---- */

struct requests *requests_new(struct service *s, request_fn *fn)
{
	struct requests *r = xcalloc(1, sizeof(*r));

	r->service = s;
	r->fn = fn;
	TAILQ_INIT(&r->conns);
	TAILQ_INIT(&r->kept);
	return r;
}

void requests_free(struct requests **rp)
{
	struct requests *r = TAKE(*rp);
	struct endpoint *ep;
	struct request *q;

	if (!r)
		return;
	r->full = true;		/* nothing is taken any more */
	TAILQ_FOREACH(ep, &r->service->endpoints, entry)
		if (set_of(ep) == r)
			request_leave(ep);
	while ((q = TAILQ_FIRST(&r->conns))) {
		TAILQ_REMOVE(&r->conns, q, entry);
		request_end(q);
	}
	while ((q = TAILQ_FIRST(&r->kept))) {
		TAILQ_REMOVE(&r->kept, q, entry);
		request_end(q);
	}
	free(r);
}

uint32_t requests_open(const struct requests *r)
{
	return r->nconns + r->nkept;
}

int request_adopt(struct requests *r, int record)
{
	const struct request_data *d = RECORD_AS(record, struct request_data);
	struct endpoint *ep;

	if (record_at(record)->arg == REQUEST_CONN)
		return request_conn_adopt(r, record);
	TAILQ_FOREACH(ep, &r->service->endpoints, entry)
		if (ep->record == (int)d->door && !ep->request)
			break;
	if (ep)
		return request_door_new(r, ep, record);
	record_close(record);
	return -ENOENT;
}
