/*
 * mem - memory and ownership.
 *
 * Out of memory ends the process (exit 71, EX_OSERR) with one line on
 * standard error; no caller checks. CLEANUP names what a variable's end does,
 * TAKE hands its value to somebody else.
 */
#ifndef USHER_BASE_MEM_H
#define USHER_BASE_MEM_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* The struct of TYPE whose MEMBER is at PTR. */
#define CONTAINER_OF(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

/* Gives P's value away and forgets it. */
#define TAKE(p)                        \
	({                             \
		__typeof__(p) t_ = (p); \
		(p) = NULL;            \
		t_;                    \
	})

void *xmalloc(size_t size);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...) PRINTF(1, 2);
char *xvasprintf(const char *fmt, va_list ap) PRINTF(1, 0);

/* A stream into *TEXT, which is whole (and the caller's) after the end. */
FILE *xmemstream(char **text, size_t *len);
void xmemstream_end(FILE *f);

/* For CLEANUP: frees what the pointer at P points to. */
static inline void freep(void *p)
{
	free(*(void **)p);
}

/* A growing array of strings, NULL at its end (argv, environment). */
struct strv {
	char **v;
	size_t n;
};

/* Takes ownership of S. */
void strv_push(struct strv *sv, char *s);
void strv_pushf(struct strv *sv, const char *fmt, ...) PRINTF(2, 3);
/* Copies every string of FROM to the end of SV. */
void strv_extend(struct strv *sv, const struct strv *from);
/* Frees the strings and the array; SV is empty afterwards. */
void strv_free(struct strv *sv);

#endif
