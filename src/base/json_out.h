/*
 * json_out - JSON written as it goes, without a tree.
 *
 * For answers that are long or asked for often: a tree costs an allocation for
 * each value, and is walked once. Commas are put here; that objects and lists
 * are closed is the caller's business. KEY is a word of ours (no escapes), or
 * NULL in a list. What is written is what json.h's json_line would write.
 */
#ifndef USHER_BASE_JSON_OUT_H
#define USHER_BASE_JSON_OUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Zeroed but for f. Not the stream's owner. */
struct json_out {
	FILE *f;
	bool some;		/* a comma is due before the next value */
};

/* BRACKET is { or [, and } or ]. */
void json_out_open(struct json_out *o, const char *key, char bracket);
void json_out_close(struct json_out *o, char bracket);
void json_out_int(struct json_out *o, const char *key, int64_t value);
void json_out_real(struct json_out *o, const char *key, double value);
void json_out_bool(struct json_out *o, const char *key, bool value);
/* Any bytes, as json_safe; NULL is null. */
void json_out_text(struct json_out *o, const char *key, const char *text);

#endif
