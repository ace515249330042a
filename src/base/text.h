/*
 * text - words to values and back: durations, sizes, rates, ranges, command
 * lines.
 *
 * All parsers return 0, -EINVAL (not such a value) or -ERANGE, and leave *OUT
 * alone on error. The message is the caller's, who knows the key.
 */
#ifndef USHER_BASE_TEXT_H
#define USHER_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

/* "500ms" "30s" "5min" "2h" "1d", "0"; a bare number is refused. ms. */
int text_duration(const char *s, int64_t *out);
/* Back, the shortest that is exact. BUF of 32. */
const char *text_duration_print(int64_t ms, char *buf, size_t len);

/* "64K" "1M" "2G", plain bytes. */
int text_size(const char *s, uint64_t *out);
const char *text_size_print(uint64_t bytes, char *buf, size_t len);

/* yes/no true/false on/off 1/0 */
int text_bool(const char *s, bool *out);
/* Decimal, whole string, MIN to MAX. */
int text_number(const char *s, int64_t min, int64_t max, int64_t *out);

/* "N" or "MIN-MAX" */
struct text_range {
	uint32_t min, max;
};
int text_range(const char *s, struct text_range *out);

/* "100/s" "60/min", then "burst=N" (default one second's worth, >= 1). */
struct text_rate {
	double per_second;	/* 0: none */
	double burst;
};
int text_rate(const char *s, struct text_rate *out);
const char *text_rate_print(const struct text_rate *r, char *buf, size_t len);

/* A signal by name (TERM, SIGTERM) or number. */
int text_signal(const char *s, int *out);
const char *text_signal_name(int signo);

/*
 * Splits as systemd splits ExecStart: blanks, single and double quotes,
 * backslash escapes; no shell, no % or $. -EINVAL: a quote without its end;
 * -EILSEQ: an escape of what no word can hold (\x00), or a backslash at the
 * end.
 */
int text_split(const char *s, struct strv *out);
/* What is wrong with a line that text_split refused. */
const char *text_split_why(int error);
/* Back: quoted where it must be, without what would begin a comment in an INI
 * file, no longer than it must be. Allocated. */
char *text_join(const struct strv *sv);

/* The word of N WORDS nearest to S (edit distance at most 3 and less than
 * half its length), or NULL. */
const char *text_nearest(const char *s, const char *const *words, size_t n);

/* Is S printable text without control characters but tab, and UTF-8? */
bool text_printable(const char *s, size_t len);
/* Where it is not: the offset of the first such byte, or LEN. */
size_t text_unprintable(const char *s, size_t len);
/* Bytes as lower-case hex, allocated. */
char *text_hex(const void *p, size_t len);

#endif
