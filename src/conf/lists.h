/*
 * lists - the types of keys whose value is a list: addresses, principals,
 * CIDRs, words. Only values.c, whose table they stand in, calls these.
 */
#ifndef USHER_CONF_LISTS_H
#define USHER_CONF_LISTS_H

#include "conf/values.h"

/* One type's functions; see values.h for what they owe. */
typedef int parse_fn(const struct key *k, void *base, const char *text,
		     const struct value_in *in, char **why);
typedef void print_fn(const struct key *k, const void *base,
		      struct strv *out);
typedef bool same_fn(const struct key *k, const void *a, const void *b);
typedef void free_fn(const struct key *k, void *base);

/* K's field in BASE. */
static inline void *key_field(const struct key *k, const void *base)
{
	return (char *)(uintptr_t)base + k->offset;
}

parse_fn parse_addrs, parse_control, parse_rules, parse_grants, parse_cidrs,
	parse_assign, parse_names, parse_paths, parse_globs;
print_fn print_addrs, print_control, print_rules, print_grants, print_cidrs,
	print_assign, print_strv;
same_fn same_addrs, same_control, same_rules, same_grants, same_cidrs,
	same_strv;
free_fn free_addrs, free_control, free_rules, free_grants, free_cidrs,
	free_strv;

/* Two strings, either of them NULL. */
bool same_text(const char *a, const char *b);
bool same_addr(const struct addr *a, const struct addr *b);

#endif
