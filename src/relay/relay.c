/*
 * relay - the handler of `relay`: each arrival is connected to an upstream.
 */
#include "relay/relay.h"

#include <errno.h>

#include "relay/relays.h"

static struct relays *of(const struct service *s)
{
	return s->work;
}

static struct relays *make(struct service *s)
{
	struct relays *h = s->work;

	if (!h)
		s->work = h = xcalloc(1, sizeof(*h));
	relays_open(h, s);
	if (!h->ups)
		h->ups = upstreams_open(s);
	return h;
}

static int start(struct service *s)
{
	make(s);
	return 0;
}

static bool room(struct service *s)
{
	return relays_room(of(s));
}

static int arrive(struct service *s, struct conn *c)
{
	struct relay *r = relay_new(of(s), c, RELAY_TWO);

	if (!r) {
		of(s)->said_no = true;
		return -EAGAIN;
	}
	if (relay_announce(r, c) < 0 || relay_begin(r) < 0)
		relay_refuse(r);
	else
		relay_dial(r);
	return 0;
}

static void changed(struct service *s, const struct conf_service *old,
		    unsigned bits)
{
	(void)old;
	(void)bits;
	relays_changed(of(s));
}

static void stop(struct service *s, bool now)
{
	relays_stop(of(s), now);
}

static uint32_t busy(const struct service *s)
{
	return s->work ? of(s)->n : 0;
}

static int adopt(struct service *s, int index)
{
	struct relay *r;

	if (record_at(index)->kind != RECORD_RELAY)
		return -EINVAL;
	r = relay_hang(make(s), index);
	if (!r)
		return 0;
	if (relay_data(r)->flags & RELAY_CONNECTED)
		relay_go_on(r);
	else if (relay_watch(r, 0) < 0)	/* it was killed before it could */
		relay_refuse(r);
	else
		relay_dial(r);
	return 0;
}

static void end(struct service *s)
{
	if (s->work)
		relays_close(of(s));
	free(TAKE(s->work));
}

static void conns(const struct service *s, conn_info_fn *fn, void *arg)
{
	if (s->work)
		relays_conns(of(s), fn, arg);
}

static int kill_conn(struct service *s, uint64_t cookie, pid_t *holder)
{
	(void)holder;
	return s->work ? relays_kill(of(s), cookie) : -ENOENT;
}

const struct handler handler_relay = {
	.name = "relay",
	.start = start,
	.room = room,
	.arrive = arrive,
	.changed = changed,
	.stop = stop,
	.busy = busy,
	.adopt = adopt,
	.end = end,
	.conns = conns,
	.kill_conn = kill_conn,
};

/* ---- echo: a relay of a connection onto itself (RFC 862) ---- */

static int echo_start(struct service *s)
{
	struct relays *h = s->work;

	if (!h)
		s->work = h = xcalloc(1, sizeof(*h));
	relays_open(h, s);
	return 0;
}

static void echo_begin(struct relay *r, int watched)
{
	if (watched < 0)
		relay_reset(r);
	else
		relay_opened(r);
}

static int echo_arrive(struct service *s, struct conn *c)
{
	struct relay *r = relay_new(of(s), c, RELAY_ECHO);

	if (!r) {
		of(s)->said_no = true;
		return -EAGAIN;
	}
	echo_begin(r, relay_begin(r));
	return 0;
}

static int echo_adopt(struct service *s, int index)
{
	struct relay *r;

	if (record_at(index)->kind != RECORD_RELAY)
		return -EINVAL;
	echo_start(s);
	r = relay_hang(of(s), index);
	if (r && relay_data(r)->flags & RELAY_CONNECTED)
		relay_go_on(r);
	else if (r)
		echo_begin(r, relay_watch(r, 0));
	return 0;
}

const struct handler handler_echo = {
	.name = "echo",
	.start = echo_start,
	.room = room,
	.arrive = echo_arrive,
	.changed = changed,
	.stop = stop,
	.busy = busy,
	.adopt = echo_adopt,
	.end = end,
	.conns = conns,
	.kill_conn = kill_conn,
};
