/*
 * load - what the parts of the loader share: files.c finds the files,
 * sections.c reads their lines into sections, derive.c knows what keys mean
 * together, load.c makes services.
 */
#ifndef USHER_CONF_LOAD_H
#define USHER_CONF_LOAD_H

#include "conf/conf.h"
#include "conf/keys.h"
#include "conf/names.h"
#include "conf/values.h"
#include "conf/world.h"

/* KEY = VALUE, continuation lines joined. */
struct entry {
	const struct key *key;
	char *value;
	struct conf_where where;
};

struct section {
	enum { SECTION_BAD, SECTION_USHER, SECTION_DEFAULTS, SECTION_SERVICE }
		kind;
	char *title;		/* what stands in the brackets */
	const char *service;	/* the name in TITLE */
	struct conf_where where;
	struct entry *v;
	size_t n;
	bool gap;		/* a line of it was not understood, ... */
	bool lost;		/* ... one that would say what it is */
};

/* A line of the report to be. */
struct told {
	struct conf_where where;
	size_t order;
	bool note;
	char *text;
};

struct file_id {
	dev_t dev;
	ino_t ino;
};

struct load {
	const struct conf_source *src;
	struct conf *conf;
	bool kept;		/* the last good configuration: see values.h */
	struct section **sections;
	size_t nsections;
	struct told *told;
	size_t ntold, nerrors;
	struct names service_keys, usher_keys;
	struct names titles;	/* [usher] and the services, once in all */
	struct names doors;	/* conf/doors.c's */
	struct file_id *ids;	/* of the files that were read from disk */
	size_t nids;
	struct world world;
};

/* The drop-in of usher's unit that gives the right to low ports. */
#define CONF_PORTS_DROPIN "ports-below-1024.conf"

/* One line of the report. TITLE or KEY may be NULL. */
void load_error(struct load *l, struct conf_where where, const char *title,
		const char *key, const char *fmt, ...) PRINTF(5, 6);
void load_note(struct load *l, struct conf_where where, const char *title,
	       const char *key, const char *fmt, ...) PRINTF(5, 6);
/* What is missing in the world: an error, and a note when the configuration
 * was good once. */
void load_missing(struct load *l, struct conf_where where, const char *title,
		  const char *key, const char *fmt, ...) PRINTF(5, 6);

/* Reads the main file, or the text, and what it includes, into sections. 0 or
 * -errno of the main file; mistakes are in the report. */
int files_read(struct load *l);
/* Takes TEXT, keeps it, and reads it as the file NAME. */
void sections_read(struct load *l, const char *name, char *text, size_t len);
#endif
