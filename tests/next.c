/*
 * next - what another build of usher may have in its state that this one has
 * not: a field of the globals, one of each relay, a kind of record.
 *
 * Part of tests/usher-next (USHER_NEXT in base/record.h). Each time that it
 * takes over it says what it found of them, then makes them anew.
 */
#include <sys/mman.h>

#include "base/log.h"
#include "base/record_private.h"
#include "continuity/revive.h"
#include "relay/relays.h"

struct relay_next {
	struct relay_data known;
	uint64_t marked;
};

typedef int control_fn(struct usher *u, int i);

void __real_revive_records(struct usher *u, control_fn *control,
			   struct revived *out);
void __wrap_revive_records(struct usher *u, control_fn *control,
			   struct revived *out);

static void make_record(void)
{
	int index = record_new(RECORD_NEXT, RECORD_NOBODY, 0);

	if (index < 0)
		return;
	record_set_fd(index, 0, memfd_create("usher-next", 0));
	record_commit(index);
}

void __wrap_revive_records(struct usher *u, control_fn *control,
			   struct revived *out)
{
	unsigned relays = 0, marked = 0, kept = 0, records = 0;
	struct record_globals *g = record_globals();
	bool stale = record_level() < LEVEL(STATE_VERSION);

	for (int i = -1; (i = record_next(RECORD_NEXT, i)) >= 0;)
		records++;
	for (int i = -1; (i = record_next(RECORD_RELAY, i)) >= 0; relays++) {
		struct relay_next *d = RECORD_AS(i, struct relay_next);

		marked += d->marked == 1;
		if (stale)
			d->marked = 0;
		kept += d->marked == 1;
		d->marked = 1;
	}
	log_notice("next: level %u field %llu records %u relays %u "
		   "marked %u kept %u",
		   record_level(), (unsigned long long)g->next, records, relays,
		   marked, kept);
	g->next = 1;
	if (!records)
		make_record();
	__real_revive_records(u, control, out);
}
