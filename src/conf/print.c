/*
 * print - a configuration as text that reads back equal: every setting in
 * force, defaults filled in, [defaults] and includes worked in.
 */
#include <stdio.h>
#include <string.h>

#include "conf/conf.h"
#include "conf/derive.h"
#include "conf/keys.h"
#include "conf/lines.h"
#include "conf/reader.h"
#include "conf/values.h"

/* KEY = VALUE, on several lines where one would be too long. */
static void print_line(FILE *out, const char *key, const char *value)
{
	CLEANUP(freep) char *text = lines_of(key, value, READER_LINE);

	if (text)
		fputs(text, out);
	else	/* no file has such a value, a program's words may */
		fprintf(out, "%s = %s\n", key, value);
}

static void print_where(FILE *out, const struct conf_where *w)
{
	if (w->file)
		fprintf(out, "# %s:%u\n", w->file, w->line);
}

/* allow and deny, in their one order. */
static void print_rules(const struct conf_service *s, bool where, FILE *out)
{
	for (size_t i = 0; i < s->rules.n; i++) {
		const struct conf_rule *r = &s->rules.v[i];

		if (where)
			print_where(out, &r->where);
		print_line(out, r->allow ? "allow" : "deny",
			   value_rule_text(r));
	}
}

static void print_key(const struct key *k, const void *base,
		      const struct conf_where *set, bool where, FILE *out)
{
	struct strv lines = { 0 };

	value_print(k, base, &lines);
	for (size_t i = 0; i < lines.n; i++) {
		if (where && i == 0)
			print_where(out, set);
		print_line(out, k->name, lines.v[i]);
	}
	strv_free(&lines);
}

/* The keys that were set, those that were not, or both. */
enum which { WHICH_SET = 1, WHICH_UNSET = 2 };

static void print_keys(const struct conf_service *s, int which, bool where,
		       FILE *out)
{
	for (size_t i = 0; i < n_service_keys; i++) {
		const struct key *k = &service_keys[i];
		struct conf_where set = derive_where(s, i);

		if (!(which & (set.file ? WHICH_SET : WHICH_UNSET)) ||
		    !derive_prints(s, k))
			continue;
		if (k->type != T_RULES)
			print_key(k, s, &set, where, out);
		else if (s->rules.n && s->rules.v[0].allow ==
					       (strcmp(k->name, "allow") == 0))
			print_rules(s, where, out);
	}
}

static void print_service(const struct conf_service *s, bool where, FILE *out)
{
	fprintf(out, "[%s]\n", s->title);
	if (!where) {
		print_keys(s, WHICH_SET | WHICH_UNSET, where, out);
		return;
	}
	print_keys(s, WHICH_SET, where, out);
	fprintf(out, "# defaults\n");
	print_keys(s, WHICH_UNSET, where, out);
}

static void print_usher(const struct conf *c, bool where, FILE *out)
{
	fprintf(out, "[usher]\n");
	for (size_t i = 0; i < n_usher_keys; i++)
		if (usher_keys[i].type != T_GLOBS)
			print_key(&usher_keys[i], c, &c->set[i], where, out);
}

void conf_print(const struct conf *c, const struct conf_service *one,
		bool where, FILE *out)
{
	const struct conf_service *s;

	if (one) {
		print_service(one, where, out);
		return;
	}
	print_usher(c, where, out);
	TAILQ_FOREACH(s, &c->services, entry) {
		fputc('\n', out);
		print_service(s, where, out);
	}
}

char *conf_value(const struct conf_service *s, const char *key)
{
	const struct key *k = key_of_service(key);
	struct strv lines = { 0 };
	char *text = NULL;

	if (!k)
		return NULL;
	value_print(k, s, &lines);
	for (size_t i = 0; i < lines.n; i++) {
		CLEANUP(freep) char *before = text;

		text = before ? xasprintf("%s\n%s", before, lines.v[i])
			      : xstrdup(lines.v[i]);
	}
	strv_free(&lines);
	return text ? text : xstrdup("");
}
