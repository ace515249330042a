/*
 * values - the table of types: one function a type of key for each of
 * parsing, printing, comparing and freeing.
 *
 * A parser leaves the field alone when it fails, and says in WHY what was
 * there and what would do. What a value means together with others is
 * conf/derive.c's business.
 */
#include "conf/values.h"

#include <errno.h>

#include "conf/types.h"

static const struct {
	parse_fn *parse;
	print_fn *print;
	same_fn *same;
	free_fn *free;
} types[] = {
	[T_ADDRS] = { parse_addrs, print_addrs, same_addrs, free_addrs },
	[T_CONTROL] = { parse_control, print_control, same_control,
			free_control },
	[T_DURATION] = { parse_duration, print_duration, same_int64,
			 free_int64 },
	[T_NUMBER] = { parse_number, print_number, same_int64, free_int64 },
	[T_SIZE] = { parse_size, print_size, same_int64, free_int64 },
	[T_BYTES] = { parse_bytes, print_size, same_int64, free_int64 },
	[T_BOOL] = { parse_bool, print_bool, same_bool, free_bool },
	[T_WORD] = { parse_word, print_word, same_int, free_int },
	[T_RANGE] = { parse_range, print_range, same_range, free_range },
	[T_RATE] = { parse_rate, print_rate, same_rate, free_rate },
	[T_STRING] = { parse_string, print_string, same_string, free_string },
	[T_MESSAGE] = { parse_message, print_message, same_string,
			free_string },
	[T_PATH] = { parse_path, print_string, same_string, free_string },
	[T_EXEC] = { parse_exec, print_string, same_string, free_exec },
	[T_BUILTIN] = { parse_builtin, print_builtin, same_builtin,
			free_builtin },
	[T_READY] = { parse_ready, print_ready, same_ready, free_ready },
	[T_SIGNAL] = { parse_signal, print_signal, same_int, free_int },
	[T_RULES] = { parse_rules, print_rules, same_rules, free_rules },
	[T_GRANTS] = { parse_grants, print_grants, same_grants, free_grants },
	[T_LEVELS] = { parse_grants, print_grants, same_grants, free_grants },
	[T_CIDRS] = { parse_cidrs, print_cidrs, same_cidrs, free_cidrs },
	[T_LIMIT] = { parse_limit, print_limit, same_limit, free_limit },
	[T_LIMIT_SIZE] = { parse_limit, print_limit, same_limit, free_limit },
	[T_ASSIGN] = { parse_assign, print_assign, same_strv, free_strv },
	[T_NAMES] = { parse_names, print_strv, same_strv, free_strv },
	[T_PATHS] = { parse_paths, print_strv, same_strv, free_strv },
	[T_GLOBS] = { parse_globs, print_strv, same_strv, free_strv },
	[T_UMASK] = { parse_umask, print_umask, same_int64, free_int64 },
	[T_FRAME] = { parse_frame, print_frame, same_int64, free_int64 },
};

int value_parse(const struct key *k, void *base, const char *text,
		const struct value_in *in, char **why)
{
	*why = NULL;
	if (!*text) {
		*why = xasprintf("no value");
		return -EINVAL;
	}
	return types[k->type].parse(k, base, text, in, why);
}

void value_print(const struct key *k, const void *base, struct strv *out)
{
	types[k->type].print(k, base, out);
}

bool value_same(const struct key *k, const void *a, const void *b)
{
	return types[k->type].same(k, a, b);
}

void value_free(const struct key *k, void *base)
{
	types[k->type].free(k, base);
}
