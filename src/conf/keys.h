/*
 * keys - the table of keys: one line for each key of [usher] and [service].
 *
 * The parser, the defaults, where a key acts, what a change of it touches,
 * the error texts and `check --effective` all read this table.
 */
#ifndef USHER_CONF_KEYS_H
#define USHER_CONF_KEYS_H

#include "conf/conf.h"
#include "conf/names.h"

enum key_type {
	T_ADDRS,	/* struct conf_addrs */
	T_CONTROL,	/* struct addr, a Unix socket */
	T_DURATION,	/* int64_t, ms */
	T_NUMBER,	/* int64_t, MIN to MAX */
	T_SIZE,		/* uint64_t */
	T_BYTES,	/* int64_t, MIN to MAX, written as a size */
	T_BOOL,		/* bool */
	T_WORD,		/* an enum, by WORDS */
	T_RANGE,	/* struct text_range */
	T_RATE,		/* struct text_rate */
	T_STRING,	/* char * */
	T_MESSAGE,	/* char *, with escapes undone */
	T_PATH,		/* char *, absolute */
	T_EXEC,		/* char *, with argv and program beside it */
	T_BUILTIN,	/* enum conf_builtin, with agent_of beside it */
	T_READY,	/* struct conf_ready_value */
	T_SIGNAL,	/* int */
	T_RULES,	/* struct conf_rules, shared by allow and deny */
	T_GRANTS,	/* struct conf_grants, without a level */
	T_LEVELS,	/* struct conf_grants, with one */
	T_CIDRS,	/* struct conf_cidrs */
	T_LIMIT,	/* struct conf_limit, plain numbers */
	T_LIMIT_SIZE,	/* struct conf_limit, sizes */
	T_ASSIGN,	/* struct strv of NAME=VALUE */
	T_NAMES,	/* struct strv of NAME */
	T_PATHS,	/* struct strv of absolute paths */
	T_GLOBS,	/* struct strv */
	T_UMASK,	/* int64_t, octal */
	T_FRAME,	/* int64_t: text or size:N */
};

/* Where a key acts, and what a service is. */
enum key_acts {
	ACT_C = 1,	/* spawn, connection */
	ACT_T = 2,	/* spawn, trigger run */
	ACT_P = 4,	/* pass */
	ACT_R = 8,	/* pass with reports */
	ACT_SH = 16,	/* share */
	ACT_ST = 32,	/* share with a status channel */
	ACT_Y = 64,	/* relay */
	ACT_X = 128,	/* exec with relay */
	ACT_B = 256,	/* builtin */
	ACT_ALL = 511,
};

/* A word of an enum; a list ends with NULL. */
struct key_word {
	const char *word;
	int value;
};

struct key {
	const char *name;
	enum key_type type;
	size_t offset;		/* in struct conf_service or struct conf */
	const char *preset;	/* the default as text; NULL: none or derived */
	unsigned acts;		/* enum key_acts; 0 in [usher] */
	unsigned change;	/* enum conf_diff */
	bool many;		/* may be repeated */
	int64_t min, max;	/* T_NUMBER, T_BYTES, T_DURATION (max 0: any) */
	const struct key_word *words;
	const char *help;
};

extern const struct key service_keys[];
extern const size_t n_service_keys;
extern const struct key usher_keys[];
extern const size_t n_usher_keys;

/* The keys whose place in the table somebody needs to know. */
const struct key *key_of_service(const char *name);
const struct key *key_of_usher(const char *name);
/* Where K is in its table: the index into a struct's SET. */
size_t key_index(const struct key *k);
bool key_is_usher(const struct key *k);

/* The word for VALUE, or NULL. */
const char *key_word(const struct key_word *words, int value);

/* "spawn (connection), relay" for a mask. Allocated. */
char *key_acts_text(unsigned acts);

#endif
