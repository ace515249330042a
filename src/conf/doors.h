/*
 * doors - which doors of a configuration can't both be opened.
 *
 * For ten thousand services in one file: each door is looked up by a few
 * names, never held against all others.
 */
#ifndef USHER_CONF_DOORS_H
#define USHER_CONF_DOORS_H

#include "conf/load.h"

/* A door, or the control socket. */
struct door {
	const char *title;	/* of its section */
	const char *text;	/* its address */
	struct conf_where where;
};

/* D, to be opened at A, has A's names from now on. SPOOL: where FIFOs by name
 * are. Returns the first door that leaves no room for it, or NULL; who that
 * is stays as it was. */
const struct door *doors_take(struct load *l, const struct door *d,
			      const struct addr *a, const char *spool);
void doors_free(struct load *l);

#endif
