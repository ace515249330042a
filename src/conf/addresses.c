/*
 * addresses - the types of keys whose value is an address, with its options.
 *
 * Nothing is looked up here: see conf/service_world.c.
 */
#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "conf/types.h"

bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static void flag(struct strv *sv, const char *name, int8_t value)
{
	if (value != ADDR_UNSET)
		strv_pushf(sv, "%s=%s", name, value ? "yes" : "no");
}

static void number(struct strv *sv, const char *name, int64_t value)
{
	if (value >= 0)
		strv_pushf(sv, "%s=%lld", name, (long long)value);
}

static void word(struct strv *sv, const char *name, const char *value)
{
	if (value)
		strv_pushf(sv, "%s=%s", name, value);
}

char *value_options(const struct addr_options *o)
{
	CLEANUP(freep) char *words = NULL;
	struct strv sv = { 0 };

	word(&sv, "name", o->name);
	if (o->mode >= 0)
		strv_pushf(&sv, "mode=%04o", (unsigned)o->mode);
	word(&sv, "owner", o->owner);
	word(&sv, "group", o->group);
	number(&sv, "backlog", o->backlog);
	flag(&sv, "v6only", o->v6only);
	flag(&sv, "freebind", o->freebind);
	word(&sv, "interface", o->interface);
	flag(&sv, "defer", o->defer);
	number(&sv, "fastopen", o->fastopen);
	flag(&sv, "nodelay", o->nodelay);
	if (o->keep_idle >= 0)
		strv_pushf(&sv, "keepalive=%d,%d,%d", o->keep_idle,
			   o->keep_intvl, o->keep_count);
	number(&sv, "rcvbuf", o->rcvbuf);
	number(&sv, "sndbuf", o->sndbuf);
	word(&sv, "source", o->source);
	words = text_join(&sv);
	strv_free(&sv);
	return xasprintf("%s%s", *words ? " " : "", words);
}

bool same_addr(const struct addr *a, const struct addr *b)
{
	CLEANUP(freep) char *x = value_options(&a->opt);
	CLEANUP(freep) char *y = value_options(&b->opt);

	return same_text(a->text, b->text) && addr_same(a, b) &&
	       strcmp(x, y) == 0;
}

int parse_addrs(const struct key *k, void *base, const char *text,
		const struct value_in *in, char **why)
{
	struct conf_addrs *list = key_field(k, base);
	struct addr addr;
	struct conf_addr *a;
	int r = addr_parse(text, &addr, why);

	if (r < 0)
		return r;
	list->v = xrealloc(list->v, (list->n + 1) * sizeof(*list->v));
	a = &list->v[list->n++];
	a->addr = addr;
	a->where = in->where;
	return 0;
}

void print_addrs(const struct key *k, const void *base, struct strv *out)
{
	const struct conf_addrs *list = key_field(k, base);

	for (size_t i = 0; i < list->n; i++) {
		const struct addr *a = &list->v[i].addr;
		CLEANUP(freep) char *options = value_options(&a->opt);

		strv_pushf(out, "%s%s", a->text, options);
	}
}

bool same_addrs(const struct key *k, const void *a, const void *b)
{
	const struct conf_addrs *x = key_field(k, a), *y = key_field(k, b);

	if (x->n != y->n)
		return false;
	for (size_t i = 0; i < x->n; i++)
		if (!same_addr(&x->v[i].addr, &y->v[i].addr))
			return false;
	return true;
}

void free_addrs(const struct key *k, void *base)
{
	struct conf_addrs *list = key_field(k, base);

	for (size_t i = 0; i < list->n; i++)
		addr_free(&list->v[i].addr);
	free(list->v);
	*list = (struct conf_addrs){ 0 };
}

int parse_control(const struct key *k, void *base, const char *text,
		  const struct value_in *in, char **why)
{
	struct addr addr;
	int r = addr_parse(text, &addr, why);

	(void)in;
	if (r < 0)
		return r;
	if (addr.kind != ADDR_UNIX || !addr.path || *addr.path != '/') {
		addr_free(&addr);
		*why = xasprintf("'%s': the control socket is unix:/PATH",
				 text);
		return -EINVAL;
	}
	*(struct addr *)key_field(k, base) = addr;
	return 0;
}

void print_control(const struct key *k, const void *base, struct strv *out)
{
	const struct addr *a = key_field(k, base);

	if (a->text) {
		CLEANUP(freep) char *options = value_options(&a->opt);

		strv_pushf(out, "%s%s", a->text, options);
	}
}

bool same_control(const struct key *k, const void *a, const void *b)
{
	return same_addr(key_field(k, a), key_field(k, b));
}

void free_control(const struct key *k, void *base)
{
	struct addr *a = key_field(k, base);

	if (a->text)
		addr_free(a);
	*a = (struct addr){ 0 };
}
