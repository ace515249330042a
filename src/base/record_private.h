/*
 * record_private - how the state is laid out, for record's own files.
 */
#ifndef USHER_BASE_RECORD_PRIVATE_H
#define USHER_BASE_RECORD_PRIVATE_H

#include "base/record.h"

#define STATE_MAGIC   0x3172656873755500ull	/* "\0Uusher1" */
#define RECORD_MAGIC  0x5245
/*
 * Of header and records. The high byte is the era: who is of another one
 * can't read it. The low byte is the level, one more with each field or kind
 * that is added: from 2 on any goes on from any other (doc/HACKING).
 */
#define STATE_VERSION (0x0003 + USHER_NEXT)
#define STATE_HASHED  0x0001	/* slots stood where their hash told */
#define ERA(version)   ((version) >> 8)
#define LEVEL(version) ((version) & 0xff)
#define TEXTS         16
#define TEXT_AREA     (256u << 20)
#define BUFFERS_MAX   65536u

/* Two places for each text: the one that holds, the other to write next. */
struct text {
	char name[32];
	_Atomic uint32_t which;
	uint32_t pad;
	struct {
		uint64_t offset, room, len;
	} at[2];
};

struct header {
	uint64_t magic;
	uint32_t version, header_len, record_len, slot_len;
	uint32_t records, slots, buffers, buffer_len;
	uint64_t slots_at, records_at, texts_at, texts_len, buffers_at, size;
	uint32_t sum;			/* of all above */
	/* What follows changes. */
	uint32_t high;			/* records ever used */
	uint32_t serial;
	uint64_t text_used;
	uint32_t buffers_high;		/* buffers ever used */
	struct text texts[TEXTS];
	struct record_globals globals;	/* may grow, into the room's zeros */
};

#define HEADER_ROOM 8192
_Static_assert(sizeof(struct header) <= HEADER_ROOM, "header");
_Static_assert(sizeof(struct record) == 208 &&
	       offsetof(struct record, whose) % 8 == 0, "record");
_Static_assert(sizeof(struct slot) == 640, "slot");

/* The one state of a process. */
struct record_state {
	struct header *h;
	char *base;
	uint32_t *free;		/* records given back, last first */
	uint32_t nfree, count;
	uint32_t *bfree;	/* buffers given back */
	uint32_t nbfree;
	bool *btaken;		/* while taking over: of those below */
	uint32_t claimable;
	uint32_t *chains, *chained;	/* slots by name */
	uint32_t slot_room;
	uint32_t slot_low;	/* none below is free */
	uint32_t found;		/* the last serial of another process, or 0 */
	bool clean;		/* and it ended its last turn */
	unsigned level;		/* of who settled last before us */
};
extern struct record_state record_st;

/* Where everything lies in a state for MAX records and SLOTS services. */
void record_layout(struct header *h, uint32_t max, uint32_t slots);

/* After the state is mapped: whose is which slot? */
void record_slots_begin(void);

/* Of what never changes in the header. */
uint32_t record_header_sum(const struct header *h);

/* Of magic to kind, then service, arg, serial: what lies around SUM. */
uint32_t record_sum(const struct record *r);

static inline struct record *record_all(void)
{
	return (struct record *)(void *)(record_st.base +
					 record_st.h->records_at);
}

#endif
