/*
 * serve - an open connection's events: which direction has its turn, and when.
 *
 * Edge-triggered: what an event told of is moved until it must wait, or, when
 * its turn is over, put on a list for the next round, so that one busy
 * connection does not keep the others from theirs. One on which nothing moves
 * for relay_idle_timeout is reset.
 *
 * How the bytes go is flow.c's, what comes before both ends are there dial.c's.
 */
#include "base/fault.h"
#include "relay/relays.h"

#define WATCHED  (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)
#define ENDING   (EPOLLRDHUP | EPOLLHUP | EPOLLERR)
#define STARVED_MS 5
/* So many that wait for their turn have it in one; the others' events come
 * in between. */
#define SOON_BURST 256

static void on_idle(void *arg)
{
	struct relay *r = arg;
	struct service *s = r->home->service;
	int64_t most = s->conf->relay_idle_timeout;
	int64_t left = r->moved + most - loop_now(s->u->loop);

	if (most == 0)
		return;
	if (left > 0)
		timer_set(s->u->loop, &r->timer, left, on_idle, r);
	else
		relay_reset(r);
}

void relay_watch_idle(struct relay *r)
{
	struct service *s = r->home->service;

	r->moved = loop_now(s->u->loop);
	if (s->conf->relay_idle_timeout)
		timer_set(s->u->loop, &r->timer, s->conf->relay_idle_timeout,
			  on_idle, r);
	else
		timer_cancel(s->u->loop, &r->timer);
}

static void soon(struct relay *r, int k, bool starved);

/* One turn of each direction in *WHICH; those stay in it that have more. May
 * end R: then false. */
static bool take_turns(struct relay *r, unsigned *which)
{
	for (int k = 0; k < 2; k++) {
		enum flow_end end;

		if (!(*which & 1u << k))
			continue;
		end = flow_pump(r, k);
		if (end == FLOW_BROKEN) {
			relay_reset(r);
			return false;
		}
		if (end == FLOW_STARVED)
			soon(r, k, true);
		if (end != FLOW_MORE)
			*which &= ~(1u << k);
	}
	return true;
}

/* Directions of R whose bit is in WHICH; may end R: then false. */
static bool serve(struct relay *r, unsigned which)
{
	const struct flow *f = relay_data(r)->flow;

	r->moved = loop_now(r->home->service->u->loop);
	for (int i = 0; which && i < flow_turns(r); i++)
		if (!take_turns(r, &which))
			return false;
	for (int k = 0; k < 2; k++)
		if (which & 1u << k)
			soon(r, k, false);
	if (f[0].flags & f[1].flags & FLOW_SHUT) {
		relay_end(r);
		return false;
	}
	return true;
}

/* Who comes on the list meanwhile has the next turn. */
static void on_soon(void *arg)
{
	struct relays *h = arg;
	const struct relay *last = TAILQ_LAST(&h->soon, relay_list);
	struct relay *r;
	bool more = last;

	for (int i = 0; i < SOON_BURST && more; i++) {
		unsigned which;

		r = TAILQ_FIRST(&h->soon);
		more = r != last;
		which = r->todo;
		TAILQ_REMOVE(&h->soon, r, soon);
		r->todo = 0;
		relay_data(r)->flags &= ~(uint32_t)(RELAY_TODO * 3);
		if (r->state == RELAY_OPEN)
			serve(r, which);
	}
	if (more)
		timer_set(h->service->u->loop, &h->soon_timer, 0, on_soon, h);
}

/* A timer, not a task: the others' events come first. */
static void soon(struct relay *r, int k, bool starved)
{
	struct relays *h = r->home;

	if (!r->todo)
		TAILQ_INSERT_TAIL(&h->soon, r, soon);
	r->todo |= (uint8_t)(1u << k);
	relay_data(r)->flags |= RELAY_TODO << k;
	if (!timer_is_set(&h->soon_timer) || !starved)
		timer_set(h->service->u->loop, &h->soon_timer,
			  starved ? STARVED_MS : 0, on_soon, h);
}

void relay_on_event(void *arg, uint32_t events)
{
	struct relay *r = arg;
	int side = loop_slot(r->home->service->u->loop);
	const struct flow *back;
	unsigned which = 0;

	if (events & ENDING) {
		r->ending |= (uint8_t)(1u << side);
		relay_data(r)->flags |= RELAY_ENDING << side;
	}
	if (r->state != RELAY_OPEN) {
		if (events & (EPOLLIN | ENDING))
			r->seen |= (uint8_t)(1u << side);
		relay_dialing(r, side, events);
		return;
	}
	if (record_at(r->record)->arg == RELAY_ECHO) {
		serve(r, 1);
		return;
	}
	/* What can be read here, and what waited to be written here. */
	back = &relay_data(r)->flow[1 - side];
	if (events & (EPOLLIN | ENDING))
		which |= 1u << side;
	if ((events & EPOLLOUT) && back->rd > back->wr)
		which |= 1u << (1 - side);
	if (which)
		serve(r, which);
}

int relay_watch(struct relay *r, int side)
{
	return loop_watch(r->home->service->u->loop, r->record, side, WATCHED,
			  relay_on_event, r);
}

int relay_begin(struct relay *r)
{
	record_commit(r->record);
	FAULT("relay-recorded");
	return relay_watch(r, 0);
}

void relay_opened(struct relay *r)
{
	struct relay_data *d = relay_data(r);
	unsigned which = r->seen;

	r->state = RELAY_OPEN;
	d->flags |= RELAY_CONNECTED;
	flow_begin(r);
	relay_watch_idle(r);
	if (d->added)
		which |= 1;
	if (which)
		serve(r, which);
}

/* What came while nobody looked may have been told of to who was killed: then
 * both directions are tried. Who ended its last turn has served all that it
 * was told of but what waited for another turn; epoll tells us the rest. */
void relay_go_on(struct relay *r)
{
	bool clean = record_was_clean();
	uint32_t flags = relay_data(r)->flags;

	r->state = RELAY_OPEN;
	r->ending = clean && flags & RELAY_KNOWN ? flags / RELAY_ENDING & 3 : 3;
	relay_watch_idle(r);
	for (int k = 0; k < 2; k++)
		if (!clean || !(flags & RELAY_KNOWN) ||
		    flags & (uint32_t)RELAY_TODO << k)
			soon(r, k, false);
}
