/*
 * values - one function a type of key: words to a value and back, sameness,
 * and the end.
 *
 * BASE is the struct that has the key's field, struct conf_service or struct
 * conf. A value that was never parsed is all zeroes.
 */
#ifndef USHER_CONF_VALUES_H
#define USHER_CONF_VALUES_H

#include "conf/keys.h"
#include "conf/world.h"

/* Where the values come from. */
struct value_in {
	struct conf_where where;
	struct world *world;
	bool kept;	/* the last good configuration: what has gone from the
			 * world since is no mistake of its file */
};

/* Parses TEXT into K's field; a key that may be repeated gets one more. 0, or
 * -EINVAL with an allocated text in *WHY: what is wrong and what would do. */
int value_parse(const struct key *k, void *base, const char *text,
		const struct value_in *in, char **why);

/* Every value of K as a text that value_parse takes, to the end of OUT.
 * Nothing where the value is none. For allow and deny: only K's own. */
void value_print(const struct key *k, const void *base, struct strv *out);
/* One rule without its "allow " or "deny ". */
const char *value_rule_text(const struct conf_rule *r);

bool value_same(const struct key *k, const void *a, const void *b);
/* Frees and zeroes K's field. */
void value_free(const struct key *k, void *base);

/* The options of an address as text, " mode=0600 ..."; allocated. */
char *value_options(const struct addr_options *o);

#endif
