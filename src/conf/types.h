/*
 * types - the functions of each type of key: addresses.c, scalars.c, strings.c
 * and lists.c have them, the table in values.c calls them.
 */
#ifndef USHER_CONF_TYPES_H
#define USHER_CONF_TYPES_H

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

/* Numbers, words, small structs: scalars.c; texts: strings.c. */
parse_fn parse_duration, parse_number, parse_size, parse_bytes, parse_umask,
	parse_frame, parse_bool, parse_word, parse_signal, parse_range,
	parse_rate, parse_limit, parse_ready, parse_string, parse_path,
	parse_message, parse_exec, parse_builtin;
print_fn print_duration, print_number, print_size, print_umask, print_frame,
	print_bool, print_word, print_signal, print_range, print_rate,
	print_limit, print_ready, print_string, print_message, print_builtin;
same_fn same_int64, same_bool, same_int, same_range, same_rate, same_limit,
	same_ready, same_string, same_builtin;
free_fn free_int64, free_bool, free_int, free_range, free_rate, free_limit,
	free_ready, free_string, free_exec, free_builtin;

/* Lists: lists.c. */
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
