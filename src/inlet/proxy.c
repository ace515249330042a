/*
 * proxy - PROXY protocol headers read in the loop; see proxy.h.
 *
 * A connection whose header is being read is a RECORD_CONN. Its bytes lie in
 * a buffer of the state, so an upgrade and a crash keep half a header; of a
 * version 2 header only what has addresses is kept, what follows (TLVs) is
 * read and counted.
 */
#include "inlet/proxy.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "inlet/arrival.h"

/* More of a header than that is not looked at: 16 and two Unix paths. */
#define KEPT 256

/* RECORD_CONN's data; its arg is CONN_PROXY. */
struct proxy_data {
	int64_t accepted_us;
	int32_t buffer;
	uint32_t len;		/* of the header, so far */
	int64_t until;		/* ms */
	uint32_t shared;	/* another may have it */
};

struct reading {
	TAILQ_ENTRY(reading) entry;
	struct service *service;
	struct conn c;
	int record;
	struct timer timer;
};

bool proxy_wanted(const struct service *s, const struct conn *c)
{
	const struct conf_cidrs *from = &s->conf->accept_proxy;

	if (c->is_unix)
		return from->unix_peers;
	for (size_t i = 0; i < from->n; i++)
		if (addr_cidr_match(&from->v[i], &c->peer))
			return true;
	return false;
}

static struct proxy_data *data_of(const struct reading *r)
{
	return RECORD_AS(r->record, struct proxy_data);
}

/* Ends the reading; the connection stays C's. */
static void finish(struct reading *r, struct conn *c)
{
	struct proxy_data *d = data_of(r);
	struct service *s = r->service;

	timer_cancel(s->u->loop, &r->timer);
	TAILQ_REMOVE(&s->headers, r, entry);
	s->nheaders--;
	loop_unwatch(s->u->loop, r->record, 0);
	record_buffer_end(d->buffer);
	*c = r->c;
	record_forget(r->record);
	free(r);
}

/* A wrong header or none is the sender's mistake: it hears a reset, and no
 * message that it might take for the service's. */
static void refuse(struct reading *r, const char *why)
{
	struct service *s = r->service;
	char peer[ADDR_TEXT];
	struct conn c;

	finish(r, &c);
	service_log(s, LOG_LEVEL_DEBUG, "PROXY header of %s: %s",
		    addr_print(&c.peer, peer, sizeof(peer)), why);
	arrival_refuse(s, &c, REFUSED_PROXY, ON_RESET);
}

static void on_timeout(void *arg)
{
	refuse(arg, "not whole within proxy_timeout");
}

static void accept_header(struct reading *r, const struct proxy_header *h)
{
	struct service *s = r->service;
	struct conn c;

	finish(r, &c);
	c.proxied = true;
	if (h->addresses) {
		c.peer = h->source;
		c.local = h->destination;
		addr_unmap(&c.peer);
		addr_unmap(&c.local);
		c.is_unix = c.peer.u.sa.sa_family == AF_UNIX;
		c.has_cred = false;
	}
	arrival_go_on(s, &c);
}

/* Up to WANT bytes of the header, the kept ones where they belong. */
static ssize_t take(struct reading *r, size_t want)
{
	static unsigned char skipped[4096];
	struct proxy_data *d = data_of(r);
	unsigned char *p = skipped;
	size_t room = sizeof(skipped);
	ssize_t n;

	if (d->len < KEPT) {
		p = (unsigned char *)record_buffer(d->buffer) + d->len;
		room = KEPT - d->len;
	}
	n = recv(record_at(r->record)->fd[0], p, want < room ? want : room,
		 MSG_DONTWAIT);
	if (n > 0)
		d->len += (uint32_t)n;
	return n;
}

static void on_readable(void *arg, uint32_t events)
{
	struct reading *r = arg;
	struct proxy_data *d = data_of(r);
	const unsigned char *p = (void *)record_buffer(d->buffer);
	struct proxy_header h;
	size_t want = 0;
	ssize_t n;
	int len;

	(void)events;
	for (;;) {
		len = proxy_parse(p, d->len, &h, &want);
		if (len < 0) {
			refuse(r, "it is none");
			return;
		}
		if (len > 0) {
			accept_header(r, &h);
			return;
		}
		n = take(r, want);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			refuse(r, n < 0 ? strerror(errno) : "it ended early");
			return;
		}
	}
}

static struct reading *reading_new(struct service *s, const struct conn *c,
				   int record, int64_t ms)
{
	struct reading *r = xcalloc(1, sizeof(*r));

	r->service = s;
	r->c = *c;
	r->record = record;
	TAILQ_INSERT_TAIL(&s->headers, r, entry);
	s->nheaders++;
	if (ms > 0)
		timer_set(s->u->loop, &r->timer, ms, on_timeout, r);
	return r;
}

int proxy_begin(struct service *s, struct conn *c)
{
	int64_t ms = s->conf->proxy_timeout;
	int record = record_new(RECORD_CONN, s->slot, CONN_PROXY);
	int buffer = record < 0 ? record : record_buffer_new();
	struct reading *r;
	int result;

	if (buffer < 0) {
		if (record >= 0)
			record_forget(record);
		arrival_refuse(s, c, REFUSED_FULL, ON_RESET);
		return buffer;
	}
	memset(record_buffer(buffer), 0, KEPT);
	*RECORD_AS(record, struct proxy_data) = (struct proxy_data){
		.accepted_us = c->accepted_us,
		.buffer = buffer,
		.until = ms ? loop_us() / 1000 + ms : 0,
		.shared = c->shared,
	};
	record_at(record)->id = c->cookie;
	record_set_fd(record, 0, c->fd);
	record_commit(record);
	r = reading_new(s, c, record, ms);
	result = loop_watch(s->u->loop, record, 0, EPOLLIN, on_readable, r);
	if (result < 0) {
		refuse(r, "it can't be watched");
		return result;
	}
	/* Mostly it is there already. */
	on_readable(r, 0);
	return 0;
}

/* Bytes that a killed usher had read and not counted are in the buffer. */
static void count_again(int record, struct proxy_data *d)
{
	struct tcp_info t = { 0 };
	socklen_t len = sizeof(t);
	int fd = record_at(record)->fd[0], inq = 0;
	int64_t got;

	if (record_globals()->clean || ioctl(fd, SIOCINQ, &inq) < 0 ||
	    getsockopt(fd, IPPROTO_TCP, TCP_INFO, &t, &len) < 0)
		return;
	got = (int64_t)t.tcpi_bytes_received - inq;
	if (got > d->len && got <= UINT16_MAX)
		d->len = (uint32_t)got;
}

int proxy_adopt(struct service *s, int record)
{
	struct proxy_data *d = RECORD_AS(record, struct proxy_data);
	struct conn c;
	struct reading *r;
	int64_t left = d->until - loop_us() / 1000;

	if (d->len > UINT16_MAX + KEPT ||
	    record_buffer_claim(d->buffer) < 0)
		return -EINVAL;
	if (arrival_describe(s, record_at(record)->fd[0], &c) < 0) {
		record_buffer_end(d->buffer);
		return -ENOTCONN;
	}
	c.accepted_us = d->accepted_us;
	c.shared = d->shared;
	count_again(record, d);
	r = reading_new(s, &c, record, d->until ? left > 0 ? left : 1 : 0);
	loop_resume(s->u->loop, record, 0, EPOLLIN, on_readable, r);
	return 0;
}

uint32_t proxy_pending(const struct service *s)
{
	return s->nheaders;
}

void proxy_drop(struct service *s)
{
	struct reading *r;

	while ((r = TAILQ_FIRST(&s->headers)))
		refuse(r, "usher stops");
}
