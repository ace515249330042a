/*
 * reader - a file's lines, read by inih without its silences.
 *
 * inih cuts long lines and section names, takes " ;" for a comment anywhere,
 * ':' for a separator, junk after ']' for nothing, and gives the handler no
 * line number. Here every line is judged before inih sees it, counted, and
 * compared with what inih made of it: what would be cut is a mistake.
 */
#ifndef USHER_CONF_READER_H
#define USHER_CONF_READER_H

#include <stdbool.h>
#include <stddef.h>

/* The longest line and section name that every inih takes whole. */
#define READER_LINE    198
#define READER_SECTION 49

struct reader_events {
	/* "[NAME]" */
	void (*section)(void *arg, unsigned line, const char *name);
	/* "KEY = VALUE"; what follows until the next is MORE of it. */
	void (*entry)(void *arg, unsigned line, const char *key,
		      const char *value);
	/* An indented line. */
	void (*more)(void *arg, unsigned line, const char *text);
	/* KEY is NULL where the line has none. WHAT is lent. */
	void (*mistake)(void *arg, unsigned line, const char *key,
			const char *what);
	/* Is WORD a key, of whatever section? */
	bool (*known)(void *arg, const char *word);
};

/* Reads all of TEXT. Mistakes are told by the event, and lines with a mistake
 * are passed over. */
void reader_parse(const char *text, size_t len,
		  const struct reader_events *events, void *arg);

/* Is LINE, without its end, one whose value the reader takes whole: text, short
 * enough, and without what would begin a comment? */
bool reader_takes(const char *line);

#endif
