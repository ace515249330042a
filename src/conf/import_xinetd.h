/*
 * import_xinetd - what the two files of the xinetd import share.
 */
#ifndef USHER_CONF_IMPORT_XINETD_H
#define USHER_CONF_IMPORT_XINETD_H

#include "conf/import.h"

/* NAME = VALUES; += adds, -= takes away. */
struct attr {
	char *name;
	struct strv values;
	struct import_at at;
	bool used;
};

struct attrs {
	struct attr *v;
	size_t n;
};

struct xinetd {
	struct import *im;
	struct attrs defaults;
	struct strv files;	/* names, for as long as attributes live */
	int depth;
};

struct attr *xinetd_find(struct attrs *a, const char *name);
/* OP is '=', '+' or '-'; VALUES are taken. */
void xinetd_set(struct attrs *a, const char *name, char op,
		struct strv *values, struct import_at at);
/* Writes the section of service NAME, which began AT. */
void xinetd_service(struct xinetd *x, const char *name, struct attrs *a,
		    struct import_at at);

#endif
