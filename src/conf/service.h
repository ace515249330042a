/*
 * service - one [service NAME]: from its entries and [defaults] to values.
 */
#ifndef USHER_CONF_SERVICE_H
#define USHER_CONF_SERVICE_H

#include "conf/load.h"

/* What the loader needs for every service. */
struct service_maker {
	struct load *l;
	struct conf_service preset;	/* every scalar default */
	struct names muted;		/* defaults that can't act somewhere */
	struct mute *mutes;
	bool *own;			/* set in the section itself */
	bool unshaped;	/* a key that says what the service is, is wrong */
};

void service_maker_open(struct service_maker *m, struct load *l);
/* Makes the service of S; DEFAULTS is its file's, or NULL. Mistakes are in
 * the report; m->unshaped is set when it is not known what it is. The caller
 * owns it. */
struct conf_service *service_make(struct service_maker *m,
				  const struct section *s,
				  const struct section *defaults);
/* Tells of the defaults that could not act. */
void service_maker_close(struct service_maker *m);

/* Does K say what a service is, and so which keys act in it? */
bool service_shaped_by(const struct key *k);

void conf_service_free(struct conf_service *s);

/* Whether the world has what S names; looks hosts up. SHAPED: it is known what
 * kind of doors it may have; else the rest is looked at all the same.
 * service_world.c */
void service_world(struct load *l, struct conf_service *s, bool shaped);

#endif
