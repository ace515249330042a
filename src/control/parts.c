/*
 * parts - an answer that goes through all services; see the header.
 *
 * Between two slices services may come and go: the list is of slots, looked
 * up anew each time.
 */
#include "control/parts.h"

#include <string.h>

#define SLICE_US 250
/* A client that does not read costs so much. */
#define SLICE_BYTES 65536

struct service *parts_next(struct parts *p)
{
	while (p->at < p->count) {
		struct service *s = model_by_slot(p->call->u,
						  p->slots[p->at++]);

		if (s)
			return s;
	}
	return NULL;
}

void parts_rewind(struct parts *p)
{
	p->at = 0;
}

void parts_list(struct parts *p, bool all)
{
	const struct usher *u = p->call->u;
	const struct service *s;
	size_t room = p->single && !all ? 1 : u->conf->nservices + 1;

	free(p->slots);
	p->slots = xcalloc(room, sizeof(*p->slots));
	p->at = p->count = 0;
	if (p->single && !all) {
		p->slots[p->count++] = p->slot;
		return;
	}
	TAILQ_FOREACH(s, &u->services, entry) {
		/* Hardly: the file has them all. */
		if (p->count == room)
			p->slots = xrealloc(p->slots, (room *= 2) *
						      sizeof(*p->slots));
		p->slots[p->count++] = s->slot;
	}
}

static void parts_free(struct parts *p)
{
	timer_cancel(p->call->u->loop, &p->timer);
	if (p->end)
		p->end(p);
	free(p->slots);
	free(p);
}

static void on_drop(struct call *c)
{
	parts_free(TAKE(c->data));
}

/* ---- slices ---- */

static void say_text(struct call *c, const char *text, size_t len)
{
	CLEANUP(json_decrefp) json_t *s = json_safe(text, len);
	CLEANUP(freep) char *line = json_line(s, &len);

	call_part(c, line + 1, len - 2);
}

/* True: there is more. */
static bool slice(struct parts *p)
{
	int64_t end = loop_us() + SLICE_US;
	CLEANUP(freep) char *text = NULL;
	size_t len = 0;
	bool more;

	p->out = xmemstream(&text, &len);
	do
		more = p->step(p);
	while (more && loop_us() < end && ftello(p->out) < SLICE_BYTES);
	xmemstream_end(TAKE(p->out));
	if (p->text)
		say_text(p->call, text, len);
	else
		call_part(p->call, text, len);
	return more;
}

static void close_text(struct parts *p)
{
	if (p->text)
		call_part(p->call, "\"}", 2);
}

static void on_turn(void *arg)
{
	struct parts *p = arg;
	struct call *c = p->call;

	if (slice(p)) {
		/* on_room brings us back when it does not go out at once. */
		if (call_flush(c) == 0)
			timer_set(c->u->loop, &p->timer, 0, on_turn, p);
		return;
	}
	close_text(p);
	c->data = NULL;
	c->drop = c->room = NULL;
	parts_free(p);
	call_finish(c, CALL_DONE);
}

static void on_room(struct call *c)
{
	struct parts *p = c->data;

	timer_set(c->u->loop, &p->timer, 0, on_turn, p);
}

enum call_result parts_begin(struct call *c, struct parts *p)
{
	p->call = c;
	p->single = c->service != NULL;
	p->slot = p->single ? c->service->slot : 0;
	parts_list(p, false);
	if (p->text)
		call_part(c, "{\"text\":\"", 9);
	if (!slice(p)) {
		close_text(p);
		parts_free(p);
		return CALL_DONE;
	}
	c->data = p;
	c->drop = on_drop;
	c->room = on_room;
	if (call_flush(c) == 0)
		timer_set(c->u->loop, &p->timer, 0, on_turn, p);
	return CALL_LATER;
}
