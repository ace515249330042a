/*
 * import_systemd - what the files of that format share, for nobody else.
 */
#ifndef USHER_CONF_IMPORT_SYSTEMD_H
#define USHER_CONF_IMPORT_SYSTEMD_H

#include "conf/import_unit.h"

/* A .socket and its .service. */
struct pair {
	struct import *im;
	struct unit socket, service;
	bool accept, wait, inetd, notify;
	size_t doors;
};

/* import_systemd_service.c: writes what is left of [Service], or says that it
 * can't be expressed. */
void systemd_service_rest(struct pair *p);

#endif
