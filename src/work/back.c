/*
 * back - what no worker has taken comes back from a queue.
 *
 * A message's words say all that is needed: a connection waits in the state
 * as one that was never handed on does (inlet/arrival), a trigger waits with
 * its like (trigger/). Nothing of it is kept here, so an usher that is killed
 * now leaves nothing that the next one does not find.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "work/pass.h"

/* An IP address and port as words; false: they are none. */
static bool name_of(const char *ip, const char *port, struct addr_name *out)
{
	char host[INET6_ADDRSTRLEN];
	uint16_t number = htons((uint16_t)strtoul(port ?: "", NULL, 10));

	if (!ip || strlen(ip) >= sizeof(host))
		return false;
	strcpy(host, ip);
	host[strcspn(host, "%")] = 0;
	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, host, &out->u.in.sin_addr) == 1) {
		out->u.in.sin_family = AF_INET;
		out->u.in.sin_port = number;
		out->len = sizeof(out->u.in);
		return true;
	}
	if (inet_pton(AF_INET6, host, &out->u.in6.sin6_addr) != 1)
		return false;
	out->u.in6.sin6_family = AF_INET6;
	out->u.in6.sin6_port = number;
	out->len = sizeof(out->u.in6);
	return true;
}

/* A PROXY header said something else than the socket does. */
static void as_told(struct conn *c, const struct message_arrival *a)
{
	struct addr_name peer, local;
	char is[ADDR_TEXT], told[ADDR_TEXT];

	if (!name_of(a->remote_ip, a->remote_port, &peer) ||
	    !name_of(a->local_ip, a->local_port, &local))
		return;
	addr_print(&c->peer, is, sizeof(is));
	addr_print(&peer, told, sizeof(told));
	if (strcmp(is, told) == 0)
		return;
	c->proxied = true;
	c->is_unix = c->has_cred = false;
	c->peer = peer;
	c->local = local;
}

static void connection(struct pool *p, const struct message_arrival *a, int fd)
{
	struct held *h;
	struct conn c;

	if (arrival_describe(p->service, fd, &c) < 0) {
		close(fd);	/* its client has gone */
		h = reports_find(p, a->id);
		if (h && !h->is_run)
			reports_forget(p, h);
		return;
	}
	as_told(&c, a);
	c.returned = true;
	h = reports_find(p, c.cookie);
	if (h)
		reports_back(p, h);
	arrival_return(p->service, &c);
}

static size_t unhex(char *text)
{
	size_t n = 0;
	unsigned byte;

	for (const char *at = text; sscanf(at, "%2x", &byte) == 1 && at[1];
	     at += 2)
		text[n++] = (char)byte;
	return n;
}

/* One that reports is with trigger/ still, unless usher is another. */
static void trigger(struct pool *p, const struct message_arrival *a)
{
	struct held *h = reports_find(p, a->id);
	struct run *r = h ? h->run : NULL;
	CLEANUP(freep) char *text = xstrdup(a->text ?: a->hex ?: "");
	size_t len = a->text ? strlen(text) : unhex(text);

	if (h) {
		reports_forget(p, h);
		if (r)
			r->again(r);
	} else if (p->service->u->on_returned) {
		p->service->u->on_returned(p->service, text, len);
	}
}

static void come_back(void *arg, const char *buf, size_t len, const int *fds,
		      int n)
{
	struct pool *p = arg;
	struct message_arrival a;
	size_t at = 0;
	int i = 0;

	while (message_next(buf, len, &at, &a)) {
		if (a.trigger)
			trigger(p, &a);
		else if (i < n)
			connection(p, &a, fds[i++]);
	}
	while (i < n)
		close(fds[i++]);
}

void back_take(struct pool *p, struct queue *q)
{
	if (queue_take_back(q, come_back, p) > 0)
		service_room(p->service);
}
