/*
 * lists - the types of keys whose value is a list: principals, CIDRs, words.
 *
 * A key's list grows by what each of its lines says; one line may hold
 * several words where a word has no blanks.
 */
#include "conf/types.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/text.h"

#define GROW(list)                                                    \
	({                                                            \
		(list)->v = xrealloc((list)->v,                       \
				     ((list)->n + 1) *                \
					     sizeof(*(list)->v));     \
		memset(&(list)->v[(list)->n], 0, sizeof(*(list)->v)); \
		&(list)->v[(list)->n++];                              \
	})

/* --- words --------------------------------------------------------------- */

/* Calls FN for each blank-separated word of TEXT until one fails. */
static int each_word(const char *text,
		     int (*fn)(const struct key *, void *, const char *,
			       const struct value_in *, char **),
		     const struct key *k, void *base,
		     const struct value_in *in, char **why)
{
	int r = 0;

	text += strspn(text, " \t");
	while (*text && r == 0) {
		size_t n = strcspn(text, " \t");
		CLEANUP(freep) char *w = xstrndup(text, n);

		r = fn(k, base, w, in, why);
		text += n;
		text += strspn(text, " \t");
	}
	return r;
}

/* "user:NAME" or "group:NAME" to an id. 1: TEXT is neither. */
static int principal(const char *text, const struct value_in *in, bool *group,
		     uint32_t *id, char **why)
{
	const struct child_user *u;
	const char *missing = NULL;
	const char *name = strchr(text, ':');
	int r;

	*group = strncmp(text, "group:", 6) == 0;
	if (!*group && strncmp(text, "user:", 5) != 0)
		return 1;
	name++;
	if (!*name) {
		*why = xasprintf("no name after '%s'", text);
		return -EINVAL;
	}
	r = *group ? world_user(in->world, NULL, name, &u, &missing)
		   : world_user(in->world, name, NULL, &u, &missing);
	if (r < 0 && !in->kept) {
		*why = xasprintf("unknown %s '%s'; getent %s lists them",
				 *group ? "group" : "user", name,
				 *group ? "group" : "passwd");
		return -EINVAL;
	}
	/* One that has gone since is nobody's number. */
	*id = r < 0 ? UINT32_MAX : *group ? u->identity.gid : u->identity.uid;
	return 0;
}

static int one_rule(const struct key *k, void *base, const char *text,
		    const struct value_in *in, char **why)
{
	struct conf_rules *list = key_field(k, base);
	struct conf_rule rule = { 0 }, *at;
	bool group = false;
	int r = principal(text, in, &group, &rule.id, why);

	if (r < 0)
		return r;
	rule.kind = r == 1 ? RULE_CIDR : group ? RULE_GROUP : RULE_USER;
	if (r == 1 && addr_cidr_parse(text, &rule.cidr) < 0) {
		*why = xasprintf("'%s' is no CIDR (192.0.2.0/24, "
				 "2001:db8::/32), user:NAME or group:NAME",
				 text);
		return -EINVAL;
	}
	rule.allow = strcmp(k->name, "allow") == 0;
	rule.text = xasprintf("%s %s", k->name, text);
	rule.where = in->where;
	at = GROW(list);
	*at = rule;
	return 0;
}

int parse_rules(const struct key *k, void *base, const char *text,
		const struct value_in *in, char **why)
{
	return each_word(text, one_rule, k, base, in, why);
}

const char *value_rule_text(const struct conf_rule *r)
{
	return strchr(r->text, ' ') + 1;
}

void print_rules(const struct key *k, const void *base, struct strv *out)
{
	const struct conf_rules *list = key_field(k, base);
	bool allow = strcmp(k->name, "allow") == 0;

	for (size_t i = 0; i < list->n; i++)
		if (list->v[i].allow == allow)
			strv_push(out, xstrdup(value_rule_text(&list->v[i])));
}

bool same_rules(const struct key *k, const void *a, const void *b)
{
	const struct conf_rules *x = key_field(k, a), *y = key_field(k, b);

	if (x->n != y->n)
		return false;
	for (size_t i = 0; i < x->n; i++)
		if (strcmp(x->v[i].text, y->v[i].text) != 0 ||
		    x->v[i].id != y->v[i].id)
			return false;
	return true;
}

void free_rules(const struct key *k, void *base)
{
	struct conf_rules *list = key_field(k, base);

	for (size_t i = 0; i < list->n; i++)
		free(list->v[i].text);
	free(list->v);
	*list = (struct conf_rules){ 0 };
}

static const struct key_word levels[] = {
	{ "none", LEVEL_NONE }, { "read", LEVEL_READ },
	{ "operate", LEVEL_OPERATE }, { "admin", LEVEL_ADMIN }, { 0 },
};

static int parse_level(const char *text, enum conf_level *level, char **why)
{
	for (const struct key_word *w = levels; w->word; w++) {
		if (strcmp(w->word, text) == 0) {
			*level = (enum conf_level)w->value;
			return 0;
		}
	}
	*why = xasprintf("'%s' is no level: none, read, operate or admin",
			 text);
	return -EINVAL;
}

static int one_grant(const struct key *k, void *base, const char *text,
		     const struct value_in *in, char **why)
{
	struct conf_grants *list = key_field(k, base);
	struct conf_grant grant = { 0 }, *at;
	bool anyone = k->type == T_LEVELS && strcmp(text, "user:*") == 0;
	bool group = false;
	int r = anyone ? 0 : principal(text, in, &group, &grant.id, why);

	if (r == 1)
		*why = xasprintf("'%s' is neither user:NAME nor group:NAME",
				 text);
	if (r != 0)
		return -EINVAL;
	grant.kind = anyone  ? GRANT_ANYONE
		     : group ? GRANT_GROUP
			     : GRANT_USER;
	grant.level = LEVEL_OPERATE;
	grant.text = xstrdup(text);
	at = GROW(list);
	*at = grant;
	return 0;
}

/* "user:NAME LEVEL" in control_allow, else "user:NAME ...". */
int parse_grants(const struct key *k, void *base, const char *text,
		 const struct value_in *in, char **why)
{
	struct conf_grants *list = key_field(k, base);
	CLEANUP(freep) char *who = NULL;
	enum conf_level level;
	size_t n;
	int r;

	if (k->type == T_GRANTS)
		return each_word(text, one_grant, k, base, in, why);
	n = strcspn(text, " \t");
	who = xstrndup(text, n);
	text += n;
	text += strspn(text, " \t");
	if (!*text) {
		*why = xasprintf("no level after '%s': none, read, operate or "
				 "admin", who);
		return -EINVAL;
	}
	r = parse_level(text, &level, why);
	if (r == 0)
		r = one_grant(k, base, who, in, why);
	if (r == 0)
		list->v[list->n - 1].level = level;
	return r;
}

void print_grants(const struct key *k, const void *base, struct strv *out)
{
	const struct conf_grants *list = key_field(k, base);

	for (size_t i = 0; i < list->n; i++) {
		const struct conf_grant *g = &list->v[i];

		if (k->type == T_LEVELS)
			strv_pushf(out, "%s %s", g->text,
				   key_word(levels, (int)g->level));
		else
			strv_push(out, xstrdup(g->text));
	}
}

bool same_grants(const struct key *k, const void *a, const void *b)
{
	const struct conf_grants *x = key_field(k, a), *y = key_field(k, b);

	if (x->n != y->n)
		return false;
	for (size_t i = 0; i < x->n; i++)
		if (strcmp(x->v[i].text, y->v[i].text) != 0 ||
		    x->v[i].id != y->v[i].id ||
		    x->v[i].level != y->v[i].level)
			return false;
	return true;
}

void free_grants(const struct key *k, void *base)
{
	struct conf_grants *list = key_field(k, base);

	for (size_t i = 0; i < list->n; i++)
		free(list->v[i].text);
	free(list->v);
	*list = (struct conf_grants){ 0 };
}

static int one_cidr(const struct key *k, void *base, const char *text,
		    const struct value_in *in, char **why)
{
	struct conf_cidrs *list = key_field(k, base);
	struct addr_cidr cidr;

	(void)in;
	if (strcmp(text, "unix") == 0) {
		list->unix_peers = true;
	} else if (addr_cidr_parse(text, &cidr) < 0) {
		*why = xasprintf("'%s' is no CIDR (192.0.2.0/24, "
				 "2001:db8::/32) and not 'unix'", text);
		return -EINVAL;
	} else {
		*GROW(list) = cidr;
	}
	return 0;
}

int parse_cidrs(const struct key *k, void *base, const char *text,
		const struct value_in *in, char **why)
{
	return each_word(text, one_cidr, k, base, in, why);
}

void print_cidrs(const struct key *k, const void *base, struct strv *out)
{
	const struct conf_cidrs *list = key_field(k, base);
	char buf[ADDR_TEXT];

	for (size_t i = 0; i < list->n; i++)
		strv_push(out, xstrdup(addr_cidr_print(&list->v[i], buf,
						       sizeof(buf))));
	if (list->unix_peers)
		strv_push(out, xstrdup("unix"));
}

bool same_cidrs(const struct key *k, const void *a, const void *b)
{
	const struct conf_cidrs *x = key_field(k, a), *y = key_field(k, b);
	struct strv p = { 0 }, q = { 0 };
	bool same = x->n == y->n && x->unix_peers == y->unix_peers;

	if (!same || x->n == 0)
		return same;
	print_cidrs(k, a, &p);
	print_cidrs(k, b, &q);
	for (size_t i = 0; i < p.n && same; i++)
		same = strcmp(p.v[i], q.v[i]) == 0;
	strv_free(&p);
	strv_free(&q);
	return same;
}

void free_cidrs(const struct key *k, void *base)
{
	struct conf_cidrs *list = key_field(k, base);

	free(list->v);
	*list = (struct conf_cidrs){ 0 };
}

/* --- strings ------------------------------------------------------------- */

/* The length of a variable's name at S, or 0. */
static size_t variable(const char *s)
{
	size_t n = 0;

	if (isdigit((unsigned char)*s))
		return 0;
	while (isalnum((unsigned char)s[n]) || s[n] == '_')
		n++;
	return n;
}

int parse_assign(const struct key *k, void *base, const char *text,
		 const struct value_in *in, char **why)
{
	struct strv words = { 0 };
	int r = text_split(text, &words);

	(void)in;
	if (r < 0)
		*why = xstrdup(text_split_why(r));
	for (size_t i = 0; i < words.n && r == 0; i++) {
		size_t n = variable(words.v[i]);

		if (n > 0 && words.v[i][n] == '=')
			continue;
		*why = xasprintf("'%s' is not NAME=VALUE; a value with blanks "
				 "stands in quotes: 'NAME=a b'", words.v[i]);
		r = -EINVAL;
	}
	if (r == 0)
		strv_extend(key_field(k, base), &words);
	strv_free(&words);
	return r;
}

static int one_name(const struct key *k, void *base, const char *text,
		    const struct value_in *in, char **why)
{
	size_t n = variable(text);

	(void)in;
	if (n == 0 || text[n]) {
		*why = xasprintf("'%s' is no name of a variable", text);
		return -EINVAL;
	}
	strv_push(key_field(k, base), xstrdup(text));
	return 0;
}

int parse_names(const struct key *k, void *base, const char *text,
		const struct value_in *in, char **why)
{
	return each_word(text, one_name, k, base, in, why);
}

int parse_paths(const struct key *k, void *base, const char *text,
		const struct value_in *in, char **why)
{
	(void)in;
	/* '-': it may be missing. */
	if (text[*text == '-'] != '/') {
		*why = xasprintf("'%s' is no absolute path", text);
		return -EINVAL;
	}
	strv_push(key_field(k, base), xstrdup(text));
	return 0;
}

int parse_globs(const struct key *k, void *base, const char *text,
		const struct value_in *in, char **why)
{
	(void)in;
	(void)why;
	strv_push(key_field(k, base), xstrdup(text));
	return 0;
}

void print_strv(const struct key *k, const void *base, struct strv *out)
{
	strv_extend(out, key_field(k, base));
}

/* Quoted again, one variable a line. */
void print_assign(const struct key *k, const void *base, struct strv *out)
{
	const struct strv *sv = key_field(k, base);

	for (size_t i = 0; i < sv->n; i++) {
		struct strv one = { .v = &sv->v[i], .n = 1 };

		strv_push(out, text_join(&one));
	}
}

bool same_strv(const struct key *k, const void *a, const void *b)
{
	const struct strv *x = key_field(k, a), *y = key_field(k, b);

	if (x->n != y->n)
		return false;
	for (size_t i = 0; i < x->n; i++)
		if (strcmp(x->v[i], y->v[i]) != 0)
			return false;
	return true;
}

void free_strv(const struct key *k, void *base)
{
	strv_free(key_field(k, base));
}
