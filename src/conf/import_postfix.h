/*
 * import_postfix - what the files of that format share, for nobody else.
 */
#ifndef USHER_CONF_IMPORT_POSTFIX_H
#define USHER_CONF_IMPORT_POSTFIX_H

#include "conf/import.h"

struct postfix_param {
	char *name, *value;
};

struct postfix {
	struct import *im;
	struct postfix_param *v;
	size_t n;
	char *dir;		/* of master.cf */
	char *queue, *daemons, *owner;
	bool told;		/* of pid_file */
};

/* Logical lines of both files: an indented line goes on, comments between
 * do not end it. The line is given to FN with its first line's number. 0 or
 * -errno. */
int postfix_each_line(const char *file,
		      void (*fn)(void *arg, char *line, unsigned number),
		      void *arg);

/* Reads FILE, a main.cf, into P. 0 or -errno. */
int postfix_main_cf(struct postfix *p, const char *file);
/* Frees what that read. */
void postfix_forget(struct postfix *p);

/* What NAME is, with $name in it replaced; "" if nobody says. Allocated, as
 * the next. */
char *postfix_param(const struct postfix *p, const char *name);
/* Where Postfix's daemons are: as main.cf says, or where they are found. */
char *postfix_daemon_directory(const struct postfix *p);

#endif
