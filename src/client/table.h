/*
 * table - numbers and services as people read them, for status and top.
 */
#ifndef USHER_CLIENT_TABLE_H
#define USHER_CLIENT_TABLE_H

#include "base/json.h"

/* "5s" "12m" "3h" "41d" from seconds. */
const char *table_age(double seconds, char *buf, size_t len);
/* "17" "4.2k" "1.3M", at most five places; below 0: "-". */
const char *table_count(double n, char *buf, size_t len);

/* NAME in WIDTH places: a longer one without its middle, in BUF. */
const char *table_name(const char *name, int width, char *buf, size_t len);

/* bad of a running service. */
#define TABLE_USUAL 5

/* A service's row, ready to print. */
struct row {
	const json_t *service;
	const char *name, *state;
	int bad;		/* the worse the lower */
	char gen[16], workers[24], queue[24], rate[16], refused[16];
	char since[16];
	double rate1, rate10, depth;
	size_t nworkers;
	double nrefused;
};

/* NOW: seconds since 1970. */
void table_row(const json_t *service, double now, struct row *out);

/* Worst first: state, then depth of queues, then name. */
int table_worst(const void *a, const void *b);

/* "12 services, 1 degraded: php: exec: no such file"; allocated. */
char *table_headline(const json_t *status);

#endif
