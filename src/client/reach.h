/*
 * reach - an address that a client command talks to by itself, in stages:
 * look-up, connect, write, answer. What fails is told with its stage and with
 * what would cure it, in one line.
 */
#ifndef USHER_CLIENT_REACH_H
#define USHER_CLIENT_REACH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/net.h"

struct reach {
	const char *command;	/* "usher COMMAND: ..." */
	struct addr addr;
	int64_t timeout;	/* ms for each stage */
	bool verbose;		/* tell each address tried */
	int fd;			/* -1 until it is connected */
};

/* A wrong command line: tells TEXT, returns 2. */
int reach_usage(const struct reach *r, const char *text);
/* Tells what failed, returns 1. */
int reach_fail(const struct reach *r, enum net_stage stage, int error);

/* 0 or an exit status, told. */
int reach_parse(struct reach *r, const char *text);
/* Look-up and connect, of anything but a FIFO. */
int reach_connect(struct reach *r);
void reach_end(struct reach *r);

/* CLOCK_MONOTONIC in ms. */
int64_t reach_now(void);

#endif
