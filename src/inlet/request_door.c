/*
 * request_door - requests out of a FIFO, which carries any number of them,
 * and out of a datagram socket, where each message is one.
 *
 * What was read lies in a buffer of the state until it was taken. A read
 * brings a buffer full, requests are cut out of it in place.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "inlet/listener.h"
#include "inlet/request_private.h"

/* Bursts, not drains: the other descriptors want their turn. */
#define READ_BURST  4
#define DGRAM_BURST 64

/* A FIFO from which so many come at once is in a flood: what it is woken for
 * costs more than what it reads. It is left alone for a moment, in which the
 * pipe gathers what a few reads bring then. */
#define FLOOD	    4
#define LULL_MS	    1

static void refused(struct request *q, enum refusal why)
{
	struct service *s = q->set->service;

	service_refused(s, why);
	service_log(s, LOG_LEVEL_DEBUG, "%s: trigger refused: %s",
		    q->ep->addr.text, refusal_name(why));
}

static void count(struct request *q, size_t n)
{
	RECORD_AS(q->ep->record, struct door_data)->arrivals += n;
}

/* Gives a request on, N times. False: there is no room for it. */
static bool give(struct request *q, const char *message, size_t len, size_t n)
{
	struct requests *r = q->set;

	if (r->full || r->fn(r->service, message, len, n) == -EAGAIN) {
		requests_full(r);
		return false;
	}
	count(q, n);
	return true;
}

/* ---- FIFO ---- */

static void on_deadline(void *arg);

static void forget_deadline(struct request *q)
{
	timer_cancel(q->set->service->u->loop, &q->timer);
	request_data(q)->deadline = 0;
}

/* Unfinished bytes have trigger_timeout from when they were first seen. */
static void mind_rest(struct request *q)
{
	struct service *s = q->set->service;
	struct request_data *d = request_data(q);

	if (d->at == d->len) {
		forget_deadline(q);
		return;
	}
	if (d->deadline || !s->conf->trigger_timeout)
		return;
	d->deadline = loop_now(s->u->loop) + s->conf->trigger_timeout;
	timer_set(s->u->loop, &q->timer, s->conf->trigger_timeout,
		  on_deadline, q);
}

/* Cuts what is whole. False: no room, the rest stays where it is. */
static bool cut_all(struct request *q)
{
	const struct frame f = request_frame(q->set->service);
	struct request_data *d = request_data(q);
	const char *buf = request_buffer(q);

	while (d->at < d->len) {
		uint8_t state = d->state;
		struct frame_cut cut;
		enum frame_result r = frame_next(&f, &state, buf + d->at,
						 d->len - d->at, &cut);
		size_t n = 1;

		if (r == FRAME_REQUEST && cut.at == 0 && state == 0)
			n = frame_repeats(buf + d->at, d->len - d->at,
					  cut.used);
		if (r == FRAME_REQUEST &&
		    !give(q, buf + d->at + cut.at, cut.len, n))
			return false;
		if (r == FRAME_LONG)
			refused(q, REFUSED_LONG);
		d->state = state;
		request_used(q, cut.used * n);
		if (r == FRAME_MORE)
			break;
		forget_deadline(q);	/* what follows began later */
	}
	return true;
}

/* The unfinished rest is a whole request now, if it is any. */
static bool finish(struct request *q, enum refusal torn)
{
	const struct frame f = request_frame(q->set->service);
	struct request_data *d = request_data(q);
	uint8_t state = d->state;
	struct frame_cut cut;

	switch (frame_finish(&f, &state, d->len - d->at, &cut)) {
	case FRAME_REQUEST:
		if (!give(q, record_buffer(d->buffer) + d->at, cut.len, 1))
			return false;
		break;
	case FRAME_LONG:
		refused(q, REFUSED_LONG);
		break;
	case FRAME_TORN:
		refused(q, torn);
		break;
	case FRAME_MORE:
		break;
	}
	d->state = state;
	if (cut.used)
		request_used(q, cut.used);
	mind_rest(q);
	return true;
}

static void on_deadline(void *arg)
{
	struct request *q = arg;

	if (!finish(q, REFUSED_SLOW))
		request_data(q)->closed = 1;
}

static int no_buffer(struct request *q)
{
	listener_rest(q->ep, ENOBUFS);
	return 0;
}

/* One read. 1: there may be more, 0: there is none, -EAGAIN: no room. */
static int read_fifo(struct request *q)
{
	struct request_data *d = request_data(q);
	char *buf = request_buffer(q);
	size_t space;
	ssize_t n;

	if (!buf)
		return no_buffer(q);
	request_compact(q);
	space = request_space(q);
	if (space == 0) {	/* trigger_max was lowered meanwhile */
		refused(q, REFUSED_LONG);
		request_used(q, d->len);
		space = request_space(q);
	}
	n = read(record_at(q->ep->record)->fd[0], buf + d->len, space);
	if (n <= 0)
		return n < 0 && errno == EINTR;
	FAULT("fifo-read");
	d->len += (uint32_t)n;
	FAULT("fifo-counted");
	if (!cut_all(q))
		return -EAGAIN;
	if ((size_t)n < space)		/* all of a write came in one read */
		d->state &= (uint8_t)~FRAME_NEWLINE;
	mind_rest(q);
	return (size_t)n == space;
}

/* Returns what the last read did. */
static int read_burst(struct request *q, int most)
{
	int r = 1;

	listener_unblock(q->ep);
	for (int i = 0; r == 1 && i < most; i++)
		r = read_fifo(q);
	return r;
}

void request_closed(struct endpoint *ep)
{
	struct request *q = ep->request;

	if (!q || q->kind != ADDR_FIFO)
		return;
	request_data(q)->closed = 1;
	if (q->set->full || !ep->watched)
		return;		/* looked at when it is read again */
	/* What the pipe holds at most came before the close. */
	read_burst(q, 5);
	if (!q->set->full && finish(q, REFUSED_TORN))
		request_data(q)->closed = 0;
}

static void on_lull(void *arg)
{
	struct request *q = arg;

	endpoint_release(q->ep, HOLD_LULL);
	if (request_data(q)->closed)
		request_closed(q->ep);	/* seen meanwhile */
}

static void read_door(struct request *q)
{
	const struct door_data *d = RECORD_AS(q->ep->record, struct door_data);
	uint64_t before = d->arrivals;
	int r = read_burst(q, READ_BURST);

	if (request_data(q)->closed) {
		request_closed(q->ep);	/* seen while it was held */
	} else if (r == 0 && d->arrivals - before >= FLOOD) {
		endpoint_hold(q->ep, HOLD_LULL);
		timer_set(q->set->service->u->loop, &q->lull, LULL_MS, on_lull,
			  q);
	}
}

/* ---- datagrams ---- */

static bool datagram_admitted(struct endpoint *ep, const struct fd_message *m)
{
	struct conn c = {
		.fd = -1,
		.endpoint = ep,
		.is_unix = true,
		.has_cred = m->has_cred,
		.cred = m->cred,
	};

	memcpy(&c.peer.u, &m->from, m->fromlen < sizeof(c.peer.u)
	       ? m->fromlen : sizeof(c.peer.u));
	c.peer.len = m->fromlen;
	return request_admitted(ep->service, &c);
}

/* To a sender that has an address; one that has none can't hear us, and one
 * that does not read is not waited for. */
static void answer(struct request *q, const struct fd_message *m,
		   enum frame_end end)
{
	char ack[8];
	size_t n = frame_ack(end, ack);

	if (m->bound && q->set->service->conf->trigger_ack)
		sendto(record_at(q->ep->record)->fd[0], ack, n,
		       MSG_DONTWAIT | MSG_NOSIGNAL, (const void *)&m->from,
		       m->fromlen);
}

/* The datagram in the buffer, as long as it is not taken. */
static bool take_datagram(struct request *q, const struct fd_message *m)
{
	const struct frame f = request_frame(q->set->service);
	struct request_data *d = request_data(q);
	const char *buf = record_buffer(d->buffer);
	struct frame_cut cut;
	enum frame_result r = frame_whole(&f, buf, d->len, &cut);

	if (r == FRAME_LONG || r == FRAME_TORN)
		refused(q, r == FRAME_LONG ? REFUSED_LONG : REFUSED_TORN);
	else if (!give(q, buf, cut.len, 1))
		return false;
	else if (m)
		answer(q, m, cut.end);
	d->whole = 0;		/* else an empty one would follow a kill */
	request_used(q, d->len);
	return true;
}

/* 1: there may be more, 0: there is none, -EAGAIN: no room. */
static int read_datagram(struct request *q)
{
	struct request_data *d = request_data(q);
	char *buf = request_buffer(q);
	struct fd_message m = { .buf = buf, .size = request_space(q) };
	int r;

	if (!buf)
		return no_buffer(q);
	r = fd_receive(record_at(q->ep->record)->fd[0], &m, MSG_DONTWAIT);
	if (r == -EAGAIN || (r < 0 && r != -EBADMSG && r != -EMSGSIZE))
		return r == -EINTR;
	FAULT("datagram-read");
	for (int i = m.extra + (r == -EBADMSG); i > 0; i--)
		refused(q, REFUSED_FDS);
	d->len = (uint32_t)m.len;
	if (r == -EMSGSIZE || !datagram_admitted(q->ep, &m)) {
		if (r == -EMSGSIZE)
			refused(q, REFUSED_LONG);
		request_used(q, d->len);
		return 1;
	}
	d->whole = 1;
	return take_datagram(q, &m) ? 1 : -EAGAIN;
}

/* Rules that judge users need to know who sends. */
static void want_credentials(struct endpoint *ep)
{
	const int on = 1;

	if (ep->service->conf->rules.n)
		setsockopt(record_at(ep->record)->fd[0], SOL_SOCKET,
			   SO_PASSCRED, &on, sizeof(on));
}

/* ---- both ---- */

void request_door_read(struct endpoint *ep)
{
	struct request *q = ep->request;
	int r = 1;

	if (q->set->full)
		return;
	if (q->kind == ADDR_FIFO) {
		read_door(q);
		return;
	}
	for (int i = 0; r == 1 && i < DGRAM_BURST; i++)
		r = read_datagram(q);
}

/* There is room again: first what was kept. */
void request_door_go_on(struct endpoint *ep)
{
	struct request *q = ep->request;
	struct request_data *d;

	if (q->record < 0)
		return;
	d = request_data(q);
	if (q->kind != ADDR_FIFO) {
		if (d->whole)
			take_datagram(q, NULL);
		return;
	}
	if (!cut_all(q))
		return;
	mind_rest(q);
	if (d->closed) {
		d->closed = 0;
		read_burst(q, 5);
		if (q->set->full || !finish(q, REFUSED_TORN))
			d->closed = 1;
	}
}

/* What came by fd:NAME shows itself what it is. */
static enum addr_kind kind_of(const struct endpoint *ep)
{
	int fd = record_at(ep->record)->fd[0];
	socklen_t len = sizeof(int);
	int type;

	if (ep->addr.kind != ADDR_FD)
		return ep->addr.kind;
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
		return ADDR_FIFO;
	return type == SOCK_DGRAM ? ADDR_UNIX_DGRAM
	     : type == SOCK_SEQPACKET ? ADDR_UNIX_SEQPACKET : ADDR_UNIX;
}

int request_door_new(struct requests *r, struct endpoint *ep, int record)
{
	struct request *q = xcalloc(1, sizeof(*q));
	int error = 0;

	q->set = r;
	q->ep = ep;
	q->kind = kind_of(ep);
	q->record = record;
	if (record >= 0) {
		request_recover(q);
		requests_full(r);	/* requests_room() looks at it */
	} else if (q->kind == ADDR_FIFO || q->kind == ADDR_UNIX_DGRAM) {
		error = request_record(q, REQUEST_DOOR, -1);
	}
	if (error < 0) {
		free(q);
		return error;
	}
	if (q->kind == ADDR_UNIX_DGRAM)
		want_credentials(ep);
	ep->request = q;
	return 0;
}
