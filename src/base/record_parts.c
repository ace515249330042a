/*
 * record_parts - what lies beside the records: slots, texts, buffers; see
 * record.h.
 */
#include <errno.h>
#include <string.h>

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

/* Open addressing by the name's hash; an ended slot leaves a hole that a
 * search must pass, so it looks at the whole run up to a slot never used. */
int slot_find(const char *name, bool make)
{
	uint32_t h = 2166136261u, hole = UINT32_MAX;

	for (const char *p = name; *p; p++)
		h = (h ^ (unsigned char)*p) * 16777619u;
	for (uint32_t n = 0; n < record_st.h->slots; n++) {
		uint32_t i = (h + n) % record_st.h->slots;
		struct slot *s = slot_at(i);

		if (strncmp(s->name, name, SLOT_NAME) == 0)
			return (int)i;
		if (s->name[0])
			continue;
		if (hole == UINT32_MAX)
			hole = i;
		if (!s->name[1])	/* never used: the run ends here */
			break;
	}
	if (!make)
		return -ENOENT;
	if (hole == UINT32_MAX)
		return -ENOSPC;
	memset(slot_at(hole), 0, sizeof(struct slot));
	strncpy(slot_at(hole)->name, name, SLOT_NAME - 1);
	return (int)hole;
}

void slot_end(uint32_t index)
{
	struct slot *s = slot_at(index);

	memset(s, 0, sizeof(*s));
	s->name[1] = 1;		/* once used */
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
