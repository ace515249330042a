/*
 * postfix_status - messages out of a byte stream; see postfix_status.h.
 *
 * Each offset at which twelve bytes stand is looked at once; where none
 * begins a message, all but the last eleven can be forgotten.
 */
#include "work/postfix_status.h"

#include <string.h>

#define LEN POSTFIX_STATUS_LEN

struct message {
	int32_t pid;
	uint32_t generation;
	int32_t avail;
};
_Static_assert(sizeof(struct message) == LEN, "as Postfix writes it");

static bool read_message(const unsigned char *p, struct message *m,
			 const struct postfix_status_events *e, void *arg)
{
	memcpy(m, p, LEN);
	return (m->avail == 0 || m->avail == 1) && m->pid > 0 &&
	       e->known(arg, m->pid, m->generation);
}

/* Takes all of BUF that can be told; what may begin a message stays. */
static size_t walk(struct postfix_status *st, const unsigned char *buf,
		   size_t n, unsigned *gossip,
		   const struct postfix_status_events *e, void *arg)
{
	struct message m;
	size_t at = 0;

	while (n - at >= LEN) {
		if (!read_message(buf + at, &m, e, arg)) {
			at++;
			if (++st->odd == LEN) {
				st->odd = 0;
				++*gossip;
			}
			continue;
		}
		/* A part of one lay before it: that was one too. */
		*gossip += st->odd > 0;
		st->odd = 0;
		e->said(arg, m.pid, m.generation, m.avail == 1);
		at += LEN;
	}
	return at;
}

unsigned postfix_status_feed(struct postfix_status *st, const void *p,
			     size_t n, const struct postfix_status_events *e,
			     void *arg)
{
	unsigned char buf[512];
	const unsigned char *from = p;
	unsigned gossip = 0;

	if (st->have >= LEN)
		st->have = 0;	/* a damaged state */
	while (n > 0) {
		size_t part = sizeof(buf) - st->have, at;

		if (part > n)
			part = n;
		memcpy(buf, st->rest, st->have);
		memcpy(buf + st->have, from, part);
		from += part;
		n -= part;
		part += st->have;
		at = walk(st, buf, part, &gossip, e, arg);
		st->have = (uint32_t)(part - at);
		memcpy(st->rest, buf + at, st->have);
	}
	return gossip;
}
