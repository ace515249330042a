/*
 * names - a table from strings to what they stand for.
 *
 * For ten thousand services in one file: names of services, doors, programs
 * and users are looked up once a line. The strings are borrowed.
 */
#ifndef USHER_CONF_NAMES_H
#define USHER_CONF_NAMES_H

#include <stddef.h>

struct names_slot;

struct names {
	struct names_slot *v;
	size_t size;	/* a power of two, or 0 */
	size_t n;
};

/* What was put under NAME, or NULL. */
void *names_get(const struct names *t, const char *name);
/* VALUE is not NULL; a second one replaces the first. */
void names_put(struct names *t, const char *name, void *value);
/* Calls FN with every value, in no order. */
void names_each(const struct names *t, void (*fn)(void *value));
void names_free(struct names *t);

#endif
