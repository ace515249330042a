/*
 * import_unit - a systemd unit file as a list of assignments, in order.
 */
#ifndef USHER_CONF_IMPORT_UNIT_H
#define USHER_CONF_IMPORT_UNIT_H

#include "conf/import.h"

struct unit_entry {
	char *section, *key, *value;
	struct import_at at;
	bool used;
};

struct unit {
	char *file;
	struct unit_entry *v;
	size_t n;
};

/* Reads FILE (systemd.syntax(7)). 0 or -errno. */
int unit_read(const char *file, struct unit *out);
void unit_free(struct unit *u);

/* The last value of KEY in SECTION, marked as used, or NULL. */
const char *unit_get(struct unit *u, const char *section, const char *key);
/* The entry at or after FROM of that KEY, marked as used; an empty value
 * clears what was before it. NULL at the end. */
struct unit_entry *unit_each(struct unit *u, const char *section,
			     const char *key, size_t *from);
/* What Environment= of [Service] says of NAME (LEN bytes), or NULL; the
 * caller frees it. */
char *unit_variable(struct unit *u, const char *name, size_t len);
bool unit_bool(const char *value);

#endif
