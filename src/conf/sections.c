/*
 * sections - a file's lines as sections of entries.
 *
 * Unknown sections and keys, and what is said twice, are found here; what
 * values mean is load.c's business.
 */
#include <string.h>

#include "base/text.h"
#include "conf/load.h"
#include "conf/reader.h"
#include "conf/service.h"

/* One file while it is read. */
struct file {
	struct load *l;
	const char *name;
	bool main;
	struct section *section;
	struct section *defaults;
	struct entry *entry;	/* what a continuation goes on with */
};

static struct conf_where here(const struct file *f, unsigned line)
{
	return (struct conf_where){ .file = f->name, .line = line };
}

static const char *title(const struct file *f)
{
	return f->section && *f->section->title ? f->section->title : NULL;
}

static void on_mistake(void *arg, unsigned line, const char *key,
		       const char *what)
{
	struct file *f = arg;
	const struct key *k;

	load_error(f->l, here(f, line), title(f), key, "%s", what);
	f->entry = NULL;
	if (!f->section)
		return;
	f->section->gap = true;
	if (key && (k = names_get(&f->l->service_keys, key)) &&
	    service_shaped_by(k))
		f->section->lost = true;
}

/* --- sections ------------------------------------------------------------ */

static bool good_name(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz"
			     "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

	return n > 0 && n <= 40 && !s[n];
}

static void unknown_section(struct file *f, struct section *s)
{
	static const char *const words[] = { "usher", "defaults", "service" };
	size_t n = strcspn(s->title, " \t");
	CLEANUP(freep) char *word = xstrndup(s->title, n);
	const char *near = text_nearest(word, words, ARRAY_SIZE(words));
	const char *name = s->title + n + strspn(s->title + n, " \t");

	if (strcmp(word, "service") == 0)
		load_error(f->l, s->where, s->title, NULL,
			   "a service has a name: [service NAME]");
	else if (near && strcmp(near, "service") == 0)
		load_error(f->l, s->where, s->title, NULL,
			   "unknown section; did you mean [service %s]?",
			   *name ? name : "NAME");
	else if (near)
		load_error(f->l, s->where, s->title, NULL,
			   "unknown section; did you mean [%s]?", near);
	else
		load_error(f->l, s->where, s->title, NULL,
			   "unknown section; there are [usher], [defaults] and "
			   "[service NAME]");
}

static void judge_service(struct file *f, struct section *s)
{
	s->service = s->title + 8;
	s->kind = SECTION_SERVICE;
	if (good_name(s->service))
		return;
	load_error(f->l, s->where, s->title, NULL,
		   "a service's name is of letters, digits, '.', '_' and '-', "
		   "at most 40");
	s->kind = SECTION_BAD;
}

/* [usher] and a service are once in all files, [defaults] once in each. */
static void judge_twice(struct file *f, struct section *s)
{
	struct section *first = s->kind == SECTION_DEFAULTS
					? f->defaults
					: names_get(&f->l->titles, s->title);

	if (first) {
		load_error(f->l, s->where, s->title, NULL,
			   "the same section twice; the first is at %s:%u",
			   first->where.file, first->where.line);
		s->kind = SECTION_BAD;
	} else if (s->kind == SECTION_DEFAULTS) {
		f->defaults = s;
	} else {
		names_put(&f->l->titles, s->title, s);
	}
}

static void on_section(void *arg, unsigned line, const char *name)
{
	struct file *f = arg;
	struct load *l = f->l;
	struct section *s = xcalloc(1, sizeof(*s));

	s->title = xstrdup(name);
	s->where = here(f, line);
	f->section = s;
	f->entry = NULL;
	if ((l->nsections & (l->nsections - 1)) == 0)
		l->sections = xrealloc(l->sections,
				       (l->nsections ? l->nsections * 2 : 1) *
					       sizeof(struct section *));
	l->sections[l->nsections++] = s;

	if (strcmp(name, "usher") == 0) {
		s->kind = SECTION_USHER;
		if (!f->main) {
			load_error(l, s->where, name, NULL,
				   "[usher] stands in the main file, not in "
				   "an included one");
			s->kind = SECTION_BAD;
		}
	} else if (strcmp(name, "defaults") == 0) {
		s->kind = SECTION_DEFAULTS;
	} else if (strncmp(name, "service ", 8) == 0) {
		judge_service(f, s);
	} else if (*name) {
		unknown_section(f, s);
	}
	if (s->kind != SECTION_BAD)
		judge_twice(f, s);
}

/* --- keys ---------------------------------------------------------------- */

static const char *nearest_key(const char *name, bool usher)
{
	const struct key *keys = usher ? usher_keys : service_keys;
	size_t n = usher ? n_usher_keys : n_service_keys;
	const char *words[128];

	for (size_t i = 0; i < n; i++)
		words[i] = keys[i].name;
	return text_nearest(name, words, n);
}

static const char *other_section(bool usher)
{
	return usher ? "[service NAME] or [defaults]" : "[usher]";
}

static void unknown_key(struct file *f, unsigned line, const char *key)
{
	bool usher = f->section->kind == SECTION_USHER;
	const char *near = nearest_key(key, usher);
	const char *other = near ? NULL : nearest_key(key, !usher);

	if (names_get(usher ? &f->l->service_keys : &f->l->usher_keys, key))
		load_error(f->l, here(f, line), title(f), key,
			   "not a key of this section; it belongs to %s",
			   other_section(usher));
	else if (near)
		load_error(f->l, here(f, line), title(f), key,
			   "unknown key; did you mean %s?", near);
	else if (other)
		load_error(f->l, here(f, line), title(f), key,
			   "unknown key; did you mean %s? It belongs to %s",
			   other, other_section(usher));
	else
		load_error(f->l, here(f, line), title(f), key,
			   "unknown key; usher.ini(5) lists them");
}

/* Where S has K, or NULL. */
static const struct entry *has(const struct section *s, const struct key *k)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].key == k)
			return &s->v[i];
	return NULL;
}

static void on_entry(void *arg, unsigned line, const char *key,
		     const char *value)
{
	struct file *f = arg;
	struct section *s = f->section;
	const struct entry *first;
	const struct key *k;

	f->entry = NULL;
	if (!s) {
		load_error(f->l, here(f, line), NULL, key,
			   "stands before the first section");
		return;
	}
	if (s->kind == SECTION_BAD)
		return;
	k = names_get(s->kind == SECTION_USHER ? &f->l->usher_keys
					       : &f->l->service_keys,
		      key);
	if (!k) {
		s->gap = true;
		unknown_key(f, line, key);
		return;
	}
	first = k->many ? NULL : has(s, k);
	if (first) {
		load_error(f->l, here(f, line), title(f), key,
			   "given twice; the first is in line %u",
			   first->where.line);
		return;
	}
	if ((s->n & (s->n - 1)) == 0)
		s->v = xrealloc(s->v, (s->n ? s->n * 2 : 1) * sizeof(*s->v));
	f->entry = &s->v[s->n++];
	*f->entry = (struct entry){
		.key = k, .value = xstrdup(value), .where = here(f, line),
	};
}

static void on_more(void *arg, unsigned line, const char *text)
{
	struct file *f = arg;
	char *before;

	(void)line;
	if (!f->entry)
		return;
	before = f->entry->value;
	f->entry->value = *before ? xasprintf("%s %s", before, text)
				  : xstrdup(text);
	free(before);
}

static bool on_known(void *arg, const char *word)
{
	struct file *f = arg;

	return names_get(&f->l->service_keys, word) ||
	       names_get(&f->l->usher_keys, word);
}

static const struct reader_events events = {
	.section = on_section,
	.entry = on_entry,
	.more = on_more,
	.mistake = on_mistake,
	.known = on_known,
};

/* --- a file -------------------------------------------------------------- */

void sections_read(struct load *l, const char *name, char *text, size_t len)
{
	struct conf *c = l->conf;
	struct file f = { .l = l, .main = c->files.n == 0 };

	strv_push(&c->files, xstrdup(name));
	f.name = c->files.v[c->files.n - 1];
	c->texts = xrealloc(c->texts, c->files.n * sizeof(*c->texts));
	c->texts[c->files.n - 1] = (struct conf_text){ text, len };
	reader_parse(text, len, &events, &f);
}
