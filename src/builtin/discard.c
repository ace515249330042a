/*
 * discard - reads and forgets (RFC 863).
 *
 * A connection is a RECORD_CONN; one buffer serves all of them.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "builtin/builtin.h"
#include "inlet/admit.h"
#include "inlet/arrival.h"
#include "inlet/packed.h"

#define READS 16	/* in a row, then the others have their turn */

/* RECORD_CONN's data here; arg is CONN_DISCARD. */
struct discard_data {
	uint64_t cookie;
	int64_t accepted_us;
	uint32_t source;	/* of this process's; counted anew elsewhere */
	uint32_t pad;
	struct packed peer;
};

struct conn_discard {
	TAILQ_ENTRY(conn_discard) entry;
	struct service *service;
	int record;
};

struct discard {
	TAILQ_HEAD(, conn_discard) conns;
	uint32_t n;
	bool stopping;
};

static void gone_if_done(struct service *s)
{
	struct discard *w = s->work;

	if (w->stopping && w->n == 0) {
		w->stopping = false;
		service_gone(s);
	}
}

static void close_conn(struct conn_discard *c)
{
	struct service *s = c->service;
	struct discard *w = s->work;
	const struct discard_data *d = RECORD_AS(c->record,
						 struct discard_data);
	struct conn conn;

	s->data->served++;
	packed_to_peer(&d->peer, &conn);
	arrival_end(s, &(struct conn_end){ .cookie = d->cookie,
					   .source = d->source,
					   .accepted_us = d->accepted_us,
					   .peer = conn.peer,
					   .up = -1,
					   .ended = true });
	TAILQ_REMOVE(&w->conns, c, entry);
	w->n--;
	fd_no_linger(record_at(c->record)->fd[0]);
	record_close(c->record);
	free(c);
	service_room(s);
}

static void on_readable(void *arg, uint32_t events)
{
	static char buf[65536];
	struct conn_discard *c = arg;
	struct service *s = c->service;

	(void)events;
	for (int i = 0; i < READS; i++) {
		ssize_t n = recv(record_at(c->record)->fd[0], buf,
				 sizeof(buf), MSG_DONTWAIT);

		if (n > 0) {
			s->data->bytes_up += (uint64_t)n;
			continue;
		}
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		close_conn(c);
		gone_if_done(s);
		return;
	}
}

static int start(struct service *s)
{
	struct discard *w = s->work;

	if (w)
		return 0;
	w = xcalloc(1, sizeof(*w));
	TAILQ_INIT(&w->conns);
	s->work = w;
	return 0;
}

static struct conn_discard *conn_new(struct service *s, int record)
{
	struct discard *w = s->work;
	struct conn_discard *c = xcalloc(1, sizeof(*c));

	c->service = s;
	c->record = record;
	TAILQ_INSERT_TAIL(&w->conns, c, entry);
	w->n++;
	return c;
}

static int arrive(struct service *s, struct conn *conn)
{
	int record = record_new(RECORD_CONN, s->slot, CONN_DISCARD);

	if (record < 0)
		return -EAGAIN;
	*RECORD_AS(record, struct discard_data) = (struct discard_data){
		.cookie = conn->cookie,
		.accepted_us = conn->accepted_us,
		.source = conn->source,
	};
	packed_peer(&RECORD_AS(record, struct discard_data)->peer, conn);
	record_at(record)->id = conn->cookie;
	record_set_fd(record, 0, fd_take(&conn->fd));
	record_commit(record);
	loop_watch(s->u->loop, record, 0, EPOLLIN, on_readable,
		   conn_new(s, record));
	return 0;
}

static void stop(struct service *s, bool now)
{
	struct discard *w = s->work;
	struct conn_discard *c;

	w->stopping = true;
	while (now && (c = TAILQ_FIRST(&w->conns)))
		close_conn(c);
	gone_if_done(s);
}

static uint32_t busy(const struct service *s)
{
	const struct discard *w = s->work;

	return w ? w->n : 0;
}

/* Its place in the limits was in the tables of the process before us. */
static int adopt(struct service *s, int index)
{
	struct discard_data *d = RECORD_AS(index, struct discard_data);
	struct conn conn = { .fd = -1 };

	start(s);
	packed_to_peer(&d->peer, &conn);
	admit_enter(s, &conn);
	d->source = conn.source;
	loop_resume(s->u->loop, index, 0, EPOLLIN, on_readable,
		    conn_new(s, index));
	return 0;
}

static void end(struct service *s)
{
	struct discard *w = s->work;
	struct conn_discard *c;

	while (w && (c = TAILQ_FIRST(&w->conns)))
		close_conn(c);
	free(TAKE(s->work));
}

const struct handler handler_discard = {
	.name = "discard",
	.start = start,
	.arrive = arrive,
	.stop = stop,
	.busy = busy,
	.adopt = adopt,
	.end = end,
};
