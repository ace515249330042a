/*
 * import - other programs' configurations as sections of ours.
 *
 * Each format is one file that reads, and says here what it found: sections
 * with keys, and each line that could not be expressed, with its place. What
 * is written is meant to pass `usher check` as it is.
 */
#ifndef USHER_CONF_IMPORT_H
#define USHER_CONF_IMPORT_H

#include <stdio.h>

#include "base/mem.h"

/* A place in a file that is read. */
struct import_at {
	const char *file;
	unsigned line;
};

struct import {
	FILE *out, *err;	/* sections; what could not be expressed */
	unsigned sections, missed;
	/* Of all sections so far; of the one that is being written. */
	struct strv names;
	char *name;
	struct import_at at;
	struct strv lines, remarks;	/* each with its end */
};

/* 0 and sections, or -errno of reading FILE (nothing is said). */
int import_inetd(struct import *im, const char *file);
int import_xinetd(struct import *im, const char *file);
int import_systemd(struct import *im, const char *file);
int import_master_cf(struct import *im, const char *file);

/* The end: what is left to say is written, IM's memory let go. */
void import_finish(struct import *im);

/* ---- for the formats ---- */

/* Begins [service NAME]: what a name can't hold becomes '-', a name that is
 * taken gets a number. AT is told in a comment. */
void import_begin(struct import *im, const char *name, struct import_at at);
/* KEY = text. A value that KEY can't have is told as import_missed does. */
void import_set(struct import *im, const char *key, const char *fmt, ...)
	PRINTF(3, 4);
/* KEY = WORDS, quoted where they must be, on indented lines when long. */
void import_words(struct import *im, const char *key, const struct strv *words);
/* Writes the section. */
void import_end(struct import *im);
/* Drops it (nothing of it can be expressed); what was missed is written. */
void import_drop(struct import *im);

/* AT can't be expressed: said to ERR and as a comment, in the section that is
 * being written or before the next. */
void import_missed(struct import *im, struct import_at at, const char *fmt,
		   ...) PRINTF(3, 4);
/* What the reader of a section should know; a comment only. */
void import_remark(struct import *im, const char *fmt, ...) PRINTF(2, 3);

/* Words of a line, at blanks; no quotes. */
void import_split(const char *s, struct strv *out);

#endif
