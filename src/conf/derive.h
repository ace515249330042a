/*
 * derive - what keys mean together: who handles arrivals, which keys can act,
 * the defaults that hang on other keys.
 */
#ifndef USHER_CONF_DERIVE_H
#define USHER_CONF_DERIVE_H

#include "conf/conf.h"
#include "conf/keys.h"

/* What S is, a mask of enum key_acts; handler, handoff, protocol and reports
 * must be known. */
unsigned derive_acts(const struct conf_service *s);

/* Does PROTOCOL alone make the handoff share? */
bool derive_protocol_shares(enum conf_protocol protocol);
bool derive_protocol_fits(enum conf_protocol protocol,
			  enum conf_handoff handoff);

/* Why K can't act in S at all, with where it acts; allocated, or NULL. */
char *derive_cannot(const struct conf_service *s, const struct key *k);
/* Why K's value can't act beside S's other values; allocated, or NULL. */
char *derive_unfit(const struct conf_service *s, const struct key *k);

/* Is a value of K in S one that `check --effective` prints? */
bool derive_prints(const struct conf_service *s, const struct key *k);

/* Fills in what was not set and hangs on other keys: before, reports (and
 * then derive_acts holds); after, the rest. */
void derive_reports(struct conf_service *s);
void derive_defaults(struct conf_service *s);

/* Where key number KEY was set (file NULL: it was not), and to say so: the
 * first place holds, until it is said with file NULL. */
struct conf_where derive_where(const struct conf_service *s, size_t key);
void derive_mark(struct conf_service *s, size_t key, struct conf_where where);

/* Was KEY set, in the section or by [defaults]? */
bool derive_is_set(const struct conf_service *s, const char *key);

#endif
