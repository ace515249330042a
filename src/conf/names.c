/*
 * names - a table from strings to what they stand for: open addressing, at
 * most half full, nothing is ever taken out.
 */
#include "conf/names.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"

struct names_slot {
	const char *name;
	void *value;
};

/* FNV-1a. The names are an administrator's: nobody picks them to collide. */
static uint32_t hash(const char *s)
{
	uint32_t h = 2166136261u;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 16777619u;
	return h;
}

static struct names_slot *slot(const struct names *t, const char *name)
{
	size_t i = hash(name) & (t->size - 1);

	while (t->v[i].name && strcmp(t->v[i].name, name) != 0)
		i = (i + 1) & (t->size - 1);
	return &t->v[i];
}

static void grow(struct names *t)
{
	struct names old = *t;

	t->size = old.size ? old.size * 2 : 64;
	t->v = xcalloc(t->size, sizeof(*t->v));
	for (size_t i = 0; i < old.size; i++)
		if (old.v[i].name)
			*slot(t, old.v[i].name) = old.v[i];
	free(old.v);
}

void *names_get(const struct names *t, const char *name)
{
	return t->size ? slot(t, name)->value : NULL;
}

void names_put(struct names *t, const char *name, void *value)
{
	struct names_slot *s;

	if (t->n * 2 >= t->size)
		grow(t);
	s = slot(t, name);
	if (!s->name) {
		s->name = name;
		t->n++;
	}
	s->value = value;
}

void names_each(const struct names *t, void (*fn)(void *value))
{
	for (size_t i = 0; i < t->size; i++)
		if (t->v[i].name)
			fn(t->v[i].value);
}

void names_free(struct names *t)
{
	free(t->v);
	*t = (struct names){ 0 };
}
