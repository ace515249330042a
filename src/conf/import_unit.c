/*
 * import_unit - systemd's unit files; see import_unit.h.
 */
#include "conf/import_unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static void strip_end(char *s)
{
	size_t n = strlen(s);

	while (n > 0 && strchr(" \t\r\n", s[n - 1]))
		s[--n] = 0;
}

static void add(struct unit *u, const char *section, char *line,
		unsigned number)
{
	char *eq = strchr(line, '='), *value = eq;
	struct unit_entry *e;

	if (eq) {
		*eq = 0;
		value = eq + 1 + strspn(eq + 1, " \t");
		strip_end(value);
	}
	strip_end(line);
	u->v = xrealloc(u->v, (u->n + 1) * sizeof(*u->v));
	e = &u->v[u->n++];
	*e = (struct unit_entry){
		.section = xstrdup(section),
		.key = xstrdup(line),
		.value = xstrdup(value ? value : ""),
		.at = { u->file, number },
	};
}

/* Lines that end in a backslash go on; a comment within is passed over. */
static char *whole_line(FILE *f, unsigned *number)
{
	char *all = NULL, *text = NULL;
	size_t room = 0;

	while (getline(&text, &room, f) >= 0) {
		char *p = text + strspn(text, " \t");
		CLEANUP(freep) char *old = all;
		size_t n;

		++*number;
		if (*p == '#' || *p == ';') {
			old = NULL;
			if (all)
				continue;
			all = xstrdup("");
			break;
		}
		strip_end(p);
		n = strlen(p);
		if (n > 0 && p[n - 1] == '\\') {
			p[n - 1] = ' ';
			all = xasprintf("%s%s", old ? old : "", p);
			continue;
		}
		all = xasprintf("%s%s", old ? old : "", p);
		break;
	}
	free(text);
	return all;
}

int unit_read(const char *file, struct unit *out)
{
	struct unit u = { .file = xstrdup(file) };
	CLEANUP(freep) char *section = xstrdup("");
	unsigned number = 0, began = 1;
	FILE *f = fopen(file, "re");
	char *line;

	if (!f) {
		free(u.file);
		return -errno;
	}
	while ((line = whole_line(f, &number))) {
		if (*line == '[') {
			free(section);
			section = xstrndup(line + 1, strcspn(line + 1, "]"));
		} else if (*line) {
			add(&u, section, line, began);
		}
		began = number + 1;
		free(line);
	}
	fclose(f);
	*out = u;
	return 0;
}

void unit_free(struct unit *u)
{
	for (size_t i = 0; i < u->n; i++) {
		free(u->v[i].section);
		free(u->v[i].key);
		free(u->v[i].value);
	}
	free(u->v);
	free(u->file);
	*u = (struct unit){ 0 };
}

static bool is(const struct unit_entry *e, const char *section,
	       const char *key)
{
	return strcmp(e->section, section) == 0 && strcmp(e->key, key) == 0;
}

const char *unit_get(struct unit *u, const char *section, const char *key)
{
	const char *value = NULL;

	for (size_t i = 0; i < u->n; i++)
		if (is(&u->v[i], section, key)) {
			u->v[i].used = true;
			value = u->v[i].value;
		}
	return value && *value ? value : NULL;
}

struct unit_entry *unit_each(struct unit *u, const char *section,
			     const char *key, size_t *from)
{
	for (size_t i = *from; i < u->n; i++) {
		struct unit_entry *e = &u->v[i];
		bool cleared = false;

		if (!is(e, section, key))
			continue;
		e->used = true;
		for (size_t k = i; k < u->n; k++)
			cleared |= is(&u->v[k], section, key) &&
				   !*u->v[k].value;
		if (cleared)
			continue;
		*from = i + 1;
		return e;
	}
	return NULL;
}

char *unit_variable(struct unit *u, const char *name, size_t len)
{
	struct unit_entry *e;
	char *value = NULL;
	size_t from = 0;

	while ((e = unit_each(u, "Service", "Environment", &from))) {
		struct strv w;

		e->used = false;	/* it is written, too */
		if (text_split(e->value, &w) < 0)
			continue;
		for (size_t i = 0; i < w.n; i++)
			if (strncmp(w.v[i], name, len) == 0 &&
			    w.v[i][len] == '=') {
				free(value);
				value = xstrdup(w.v[i] + len + 1);
			}
		strv_free(&w);
	}
	return value;
}

bool unit_bool(const char *value)
{
	static const char *const yes[] = { "yes", "true", "on", "1", "y", "t" };

	for (size_t i = 0; value && i < ARRAY_SIZE(yes); i++)
		if (strcasecmp(value, yes[i]) == 0)
			return true;
	return false;
}
