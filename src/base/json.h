/*
 * json - a thin layer over jansson: ownership, texts of any bytes, members.
 *
 * jansson refuses strings that are no UTF-8; what workers and peers say may
 * be anything, so it goes through json_safe. Out of memory ends the process,
 * as everywhere (mem.h).
 */
#ifndef USHER_BASE_JSON_H
#define USHER_BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"

/* For CLEANUP jansson has json_decrefp. */

/* jansson allocates by xmalloc from now on. Once, at start. */
void json_setup(void);

/* Any bytes as a string: what is no UTF-8 or a NUL becomes U+FFFD. */
json_t *json_safe(const char *s, size_t len);
json_t *json_safe_text(const char *s);	/* NULL: json null */

/* Sets a member; VALUE is taken. */
void json_put(json_t *object, const char *key, json_t *value);
void json_put_text(json_t *object, const char *key, const char *text);
void json_put_int(json_t *object, const char *key, int64_t value);
void json_put_bool(json_t *object, const char *key, bool value);

/* Members that may be missing or of another type: then the second choice. */
const char *json_get_text(const json_t *object, const char *key,
			  const char *other);
int64_t json_get_int(const json_t *object, const char *key, int64_t other);
bool json_get_bool(const json_t *object, const char *key, bool other);
double json_get_real(const json_t *object, const char *key, double other);

/* One line, without blanks; allocated, its length in *LEN if not NULL. */
char *json_line(const json_t *value, size_t *len);

/* Parses LEN bytes that must be one value; depth and size are jansson's
 * business. NULL: it is none, and in *WHY half a sentence (allocated). */
json_t *json_parse(const char *text, size_t len, char **why);

#endif
