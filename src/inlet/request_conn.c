/*
 * request_conn - a connection that brings one trigger and is closed.
 *
 * It is read at once after accept: mostly the client has written by then, and
 * epoll never hears of it. Who has not is watched, with a deadline. A whole
 * request that can't be taken is kept, and offered again when there is room.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "inlet/listener.h"
#include "inlet/request_private.h"

/* A burst, not a drain: the other descriptors want their turn. */
#define ACCEPT_BURST 64

enum step { WAIT, DONE };

static int socket_of(const struct request *q)
{
	return record_at(q->record)->fd[0];
}

static void forget(struct request *q)
{
	struct requests *r = q->set;

	if (request_data(q)->whole) {
		TAILQ_REMOVE(&r->kept, q, entry);
		r->nkept--;
	} else {
		TAILQ_REMOVE(&r->conns, q, entry);
		r->nconns--;
	}
	request_end(q);
}

static enum step refuse(struct request *q, enum refusal why)
{
	struct service *s = q->set->service;

	service_refused(s, why);
	service_log(s, LOG_LEVEL_DEBUG, "trigger refused: %s after %u bytes",
		    refusal_name(why), (unsigned)request_data(q)->len);
	forget(q);
	return DONE;
}

/* What the client sent besides is read, or close() would be a reset that
 * overtakes the answer. */
static void answer(struct request *q)
{
	char rest[512], ack[8];
	struct fd_message m = { .buf = rest, .size = sizeof(rest) };
	size_t n = frame_ack(request_data(q)->end, ack);

	if (q->set->service->conf->trigger_ack)
		send(socket_of(q), ack, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	fd_receive(socket_of(q), &m, MSG_DONTWAIT);
}

/* The request is whole, and q is in kept. */
static bool offer(struct request *q)
{
	struct request_data *d = request_data(q);
	struct requests *r = q->set;
	int error = r->full ? -EAGAIN
		  : r->fn(r->service, d->buffer < 0 ? ""
					: record_buffer(d->buffer), d->len, 1);

	if (error == -EAGAIN) {
		requests_full(r);
		return false;
	}
	answer(q);
	forget(q);
	return true;
}

static enum step whole(struct request *q, const struct frame_cut *cut)
{
	struct request_data *d = request_data(q);
	struct requests *r = q->set;

	d->len = (uint32_t)cut->len;
	d->end = (uint8_t)cut->end;
	d->whole = 1;
	timer_cancel(r->service->u->loop, &q->timer);
	TAILQ_REMOVE(&r->conns, q, entry);
	r->nconns--;
	TAILQ_INSERT_TAIL(&r->kept, q, entry);
	r->nkept++;
	if (!offer(q))
		loop_unwatch(r->service->u->loop, q->record, 0);
	return DONE;
}

static enum step judge(struct request *q, enum frame_result result,
		       const struct frame_cut *cut)
{
	switch (result) {
	case FRAME_REQUEST:
		return whole(q, cut);
	case FRAME_LONG:
		return refuse(q, REFUSED_LONG);
	case FRAME_TORN:
		return refuse(q, REFUSED_TORN);
	case FRAME_MORE:
		break;
	}
	return WAIT;
}

static enum step finish(struct request *q)
{
	const struct frame f = request_frame(q->set->service);
	struct request_data *d = request_data(q);
	struct frame_cut cut;
	enum step step = judge(q, frame_finish(&f, &d->state, d->len, &cut),
			       &cut);

	if (step == WAIT) {	/* an end without one byte is no trigger */
		forget(q);
		step = DONE;
	}
	return step;
}

/* Looks whether what is there is a request. A packet without an end is one
 * too: it can't be told from a packet that is to go on, and nobody sends a
 * word in two. */
static enum step examine(struct request *q)
{
	const struct frame f = request_frame(q->set->service);
	struct request_data *d = request_data(q);
	struct frame_cut cut;
	enum step step;

	if (d->len == 0)
		return WAIT;
	step = judge(q, frame_next(&f, &d->state, record_buffer(d->buffer),
				   d->len, &cut), &cut);
	if (step == WAIT && d->packets && !f.size)
		return finish(q);
	return step;
}

static void count_descriptors(struct request *q, int n)
{
	for (; n > 0; n--)
		service_refused(q->set->service, REFUSED_FDS);
}

static enum step receive(struct request *q)
{
	struct request_data *d = request_data(q);
	char *buf = request_buffer(q);
	struct fd_message m = { .size = request_space(q) };
	int r;

	if (!buf || m.size == 0)
		return refuse(q, buf ? REFUSED_LONG : REFUSED_FULL);
	m.buf = buf + d->len;
	r = fd_receive(socket_of(q), &m, MSG_DONTWAIT);
	if (r == -EAGAIN)
		return WAIT;
	count_descriptors(q, m.extra + (r == -EBADMSG));
	if (r == -EBADMSG)	/* they were lost, the bytes were not */
		r = 1;
	if (r == -EMSGSIZE)
		return refuse(q, REFUSED_LONG);
	if (r < 0)
		return d->len ? refuse(q, REFUSED_TORN) : finish(q);
	if (m.len == 0)
		return finish(q);
	d->len += (uint32_t)m.len;
	return examine(q);
}

/* DONE: q is gone, or kept. */
static enum step read_conn(struct request *q)
{
	uint32_t before;
	enum step step;

	do {
		before = request_data(q)->len;
		step = receive(q);
	} while (step == WAIT && request_data(q)->len != before);
	return step;
}

static void on_readable(void *arg, uint32_t events)
{
	(void)events;
	read_conn(arg);
}

static void on_deadline(void *arg)
{
	struct request *q = arg;

	if (request_data(q)->len)
		refuse(q, REFUSED_SLOW);
	else
		forget(q);
}

static int wait_for_more(struct request *q)
{
	struct loop *l = q->set->service->u->loop;
	struct request_data *d = request_data(q);
	int r;

	r = loop_resume(l, q->record, 0, EPOLLIN, on_readable, q);
	if (d->deadline)
		timer_set(l, &q->timer, d->deadline - loop_us() / 1000,
			  on_deadline, q);
	return r;
}

static bool admitted(struct endpoint *ep, int fd, const struct addr_name *peer)
{
	struct conn c = {
		.fd = fd,
		.endpoint = ep,
		.peer = *peer,
		.local = ep->name,
		.is_unix = ep->addr.kind != ADDR_TCP,
	};

	c.has_cred = c.is_unix && fd_peercred(fd, &c.cred);
	addr_unmap(&c.peer);
	return request_admitted(ep->service, &c);
}

static struct request *conn_new(struct requests *r, struct endpoint *ep)
{
	struct request *q = xcalloc(1, sizeof(*q));

	q->set = r;
	q->ep = ep;
	q->record = -1;
	TAILQ_INSERT_TAIL(&r->conns, q, entry);
	r->nconns++;
	return q;
}

void request_take(struct endpoint *ep, int fd, const struct addr_name *peer)
{
	const struct request *door = ep->request;
	bool packets = door->kind == ADDR_UNIX_SEQPACKET;
	struct requests *r = door->set;
	struct service *s = ep->service;
	struct request *q;

	FAULT("trigger-accepted");
	if (!admitted(ep, fd, peer)) {
		close(fd);
		return;
	}
	q = conn_new(r, ep);
	if (request_record(q, REQUEST_CONN, fd) < 0) {
		service_refused(s, REFUSED_FULL);
		TAILQ_REMOVE(&r->conns, q, entry);
		r->nconns--;
		free(q);
		close(fd);
		return;
	}
	request_data(q)->packets = packets;
	if (s->conf->trigger_timeout)
		request_data(q)->deadline = loop_now(s->u->loop) +
					    s->conf->trigger_timeout;
	if (read_conn(q) == WAIT && wait_for_more(q) < 0)
		refuse(q, REFUSED_FULL);
}

bool request_takes(const struct endpoint *ep)
{
	const struct request *door = ep->request;

	return door && !door->set->full;
}

void request_accept(struct endpoint *ep)
{
	struct requests *r = ((struct request *)ep->request)->set;
	struct addr_name peer;

	for (int i = 0; i < ACCEPT_BURST && !r->full; i++) {
		int fd = listener_accept(ep, &peer);

		if (fd == -EAGAIN)
			return;
		if (fd >= 0)
			request_take(ep, fd, &peer);
	}
}

void request_offer_kept(struct requests *r)
{
	struct request *q;

	while (!r->full && (q = TAILQ_FIRST(&r->kept)))
		offer(q);
}

/* Not while records are still being found: their buffers are not known yet,
 * and none may be taken. */
static void on_adopted(void *arg)
{
	struct request *q = arg;

	if (examine(q) == WAIT && read_conn(q) == WAIT &&
	    wait_for_more(q) < 0)
		refuse(q, REFUSED_FULL);
}

int request_conn_adopt(struct requests *r, int record)
{
	const struct request_data *d = RECORD_AS(record, struct request_data);
	struct request *q = conn_new(r, NULL);
	struct endpoint *ep;
	struct frame_cut cut;

	q->record = record;
	TAILQ_FOREACH(ep, &r->service->endpoints, entry)
		if (ep->record == (int)d->door)
			q->ep = ep;
	if (request_recover(q) < 0) {
		refuse(q, REFUSED_TORN);
		return -EINVAL;
	}
	cut = (struct frame_cut){ .len = d->len, .end = d->end };
	if (d->whole) {
		requests_full(r);	/* offered by requests_room() */
		whole(q, &cut);
	} else {
		timer_set(r->service->u->loop, &q->timer, 0, on_adopted, q);
	}
	return 0;
}
