/*
 * record_parts - what lies beside the records: slots, texts, buffers; see
 * record.h.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/record_private.h"

/* ---- slots ---- */

struct slot *slot_at(uint32_t index)
{
	struct slot *s = (void *)(record_st.base + record_st.h->slots_at);

	return &s[index];
}

uint32_t slot_max(void)
{
	return record_st.h->slots;
}

/*
 * Slots stand side by side, the lowest free one is taken, so that few pages
 * are in use. Which is whose is found by a hash in private memory: for each
 * place a chain of slots, named by one more than their index.
 */
static uint32_t hash_of(const char *name)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < SLOT_NAME && name[i]; i++)
		h = (h ^ (unsigned char)name[i]) * 16777619u;
	return h;
}

static uint32_t *chain_of(const char *name)
{
	return &record_st.chains[hash_of(name) & (record_st.slot_room - 1)];
}

static void chain(uint32_t index)
{
	uint32_t *first = chain_of(slot_at(index)->name);

	record_st.chained[index] = *first;
	*first = index + 1;
}

static void unchain(uint32_t index)
{
	uint32_t *at = chain_of(slot_at(index)->name);

	while (*at && *at != index + 1)
		at = &record_st.chained[*at - 1];
	if (*at)
		*at = record_st.chained[index];
}

/* Room for slots up to INDEX: those that are chained are chained anew. */
static void make_room(uint32_t index)
{
	CLEANUP(freep) uint32_t *chains = record_st.chains;
	CLEANUP(freep) uint32_t *chained = record_st.chained;
	uint32_t was = record_st.slot_room;

	record_st.slot_room = was ? was : 64;
	while (index >= record_st.slot_room)
		record_st.slot_room *= 2;
	record_st.chains = xcalloc(record_st.slot_room, sizeof(*chains));
	record_st.chained = xcalloc(record_st.slot_room, sizeof(*chained));
	for (uint32_t c = 0; c < was; c++)
		for (uint32_t i = chains[c]; i; i = chained[i - 1])
			chain(i - 1);
}

static void enter(uint32_t index)
{
	if (index >= record_st.slot_room)
		make_room(index);
	chain(index);
}

static uint32_t slot_over(uint64_t offset)
{
	const struct header *h = record_st.h;
	uint64_t past = offset < h->slots_at ? 0 : offset - h->slots_at;

	return (uint32_t)(past / sizeof(struct slot));
}

/* Only what somebody wrote to is looked at: to read a hole of a memfd makes
 * it a page. */
void record_slots_begin(void)
{
	const struct header *h = record_st.h;
	off_t at = (off_t)h->slots_at, end = (off_t)h->records_at;
	uint32_t i = 0, last;

	make_room(0);
	record_st.slot_low = 0;
	while (at < end && (at = lseek(ROLE_STATE, at, SEEK_DATA)) >= 0 &&
	       at < end) {
		if (slot_over((uint64_t)at) > i)
			i = slot_over((uint64_t)at);
		at = lseek(ROLE_STATE, at, SEEK_HOLE);
		if (at < 0)
			return;
		last = slot_over((uint64_t)at - 1);
		for (; i <= last && i < h->slots; i++)
			if (slot_at(i)->name[0])
				enter(i);
	}
}

/* In a state of the first version a name is found by going on from the place
 * that its hash says, past each that was ever used: an older image may have to
 * go back to it. */
static int lowest_free(const char *name)
{
	bool hashed = record_st.h->version == STATE_HASHED;
	uint32_t n = record_st.h->slots;
	uint32_t from = hashed ? hash_of(name) : record_st.slot_low;

	for (uint32_t k = 0; k < n; k++)
		if (!slot_at((from + k) % n)->name[0])
			return (int)((from + k) % n);
	return -ENOSPC;
}

int slot_find(const char *name, bool make)
{
	struct slot *s;
	int index;

	for (uint32_t i = *chain_of(name); i; i = record_st.chained[i - 1])
		if (strncmp(slot_at(i - 1)->name, name, SLOT_NAME) == 0)
			return (int)i - 1;
	index = make ? lowest_free(name) : -ENOENT;
	if (index < 0)
		return index;
	record_st.slot_low = (uint32_t)index + 1;
	s = slot_at((uint32_t)index);
	memset(s, 0, sizeof(*s));
	if (name[0])
		strncpy(s->name + 1, name + 1, SLOT_NAME - 2);
	/* Marked used last. */
	atomic_signal_fence(memory_order_seq_cst);
	s->name[0] = name[0];
	enter((uint32_t)index);
	return index;
}

void slot_end(uint32_t index)
{
	struct slot *s = slot_at(index);

	unchain(index);
	if (index < record_st.slot_low)
		record_st.slot_low = index;
	s->name[0] = 0;
	atomic_signal_fence(memory_order_seq_cst);
	memset(s, 0, sizeof(*s));
	if (record_st.h->version == STATE_HASHED)
		s->name[1] = 1; /* once used */
}

/* ---- texts ---- */

static struct text *text_find(const char *name, bool make)
{
	struct text *hole = NULL;

	for (size_t i = 0; i < TEXTS; i++) {
		struct text *t = &record_st.h->texts[i];

		if (strncmp(t->name, name, sizeof(t->name)) == 0)
			return t;
		if (!t->name[0] && !hole)
			hole = t;
	}
	if (make && hole)
		strncpy(hole->name, name, sizeof(hole->name) - 1);
	return make ? hole : NULL;
}

int record_text_set(const char *name, const char *text, size_t len)
{
	struct text *t = text_find(name, text != NULL);
	uint32_t w;

	if (!t)
		return text ? -ENOSPC : 0;
	w = !atomic_load(&t->which);
	if (len + 1 > t->at[w].room) {
		uint64_t room = 4096;

		/* Doubled, so what is left behind stays below what is used. */
		while (text && room < len + 1)
			room *= 2;
		if (room > record_st.h->texts_len - record_st.h->text_used)
			return -ENOSPC;
		t->at[w].offset = record_st.h->text_used;
		t->at[w].room = room;
		record_st.h->text_used += room;
	}
	if (text) {
		char *p = record_st.base + record_st.h->texts_at +
			  t->at[w].offset;

		memcpy(p, text, len);
		p[len] = 0;
	}
	t->at[w].len = text ? len : 0;
	atomic_store(&t->which, w);
	return 0;
}

const char *record_text(const char *name, size_t *len)
{
	struct text *t = text_find(name, false);
	uint32_t w;

	if (!t)
		return NULL;
	w = atomic_load(&t->which);
	if (len)
		*len = t->at[w].len;
	if (!t->at[w].len)
		return NULL;
	return record_st.base + record_st.h->texts_at + t->at[w].offset;
}

/* ---- buffers ---- */

int record_buffer_new(void)
{
	if (record_st.nbfree)
		return (int)record_st.bfree[--record_st.nbfree];
	if (record_st.h->buffers_high == record_st.h->buffers)
		return -ENOBUFS;
	return (int)record_st.h->buffers_high++;
}

void record_buffer_end(int number)
{
	record_st.bfree[record_st.nbfree++] = (uint32_t)number;
}

char *record_buffer(int number)
{
	return record_st.base + record_st.h->buffers_at +
	       (size_t)number * RECORD_BUFFER;
}

int record_buffer_claim(int number)
{
	if (number < 0 || (uint32_t)number >= record_st.claimable ||
	    !record_st.btaken || record_st.btaken[number])
		return -EINVAL;
	record_st.btaken[number] = true;
	return 0;
}

/* Last first, so that the lowest are used next. What was given back in the
 * meantime is on the list already. */
void record_buffers_claimed(void)
{
	uint32_t back = record_st.nbfree;

	for (uint32_t i = 0; i < back; i++)
		if (record_st.bfree[i] < record_st.claimable)
			record_st.btaken[record_st.bfree[i]] = true;
	for (uint32_t n = record_st.claimable; n-- > 0;)
		if (!record_st.btaken[n])
			record_st.bfree[record_st.nbfree++] = n;
	free(TAKE(record_st.btaken));
	record_st.claimable = 0;
}
