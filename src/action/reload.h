/*
 * reload - what the parts of a reload have in common: reload.c (who asks, the
 * thread, the turns), prepare.c (doors opened beside what runs, workers
 * tried), commit.c (one turn in which all changes hands).
 *
 * Inside action/ only.
 */
#ifndef USHER_ACTION_RELOAD_H
#define USHER_ACTION_RELOAD_H

#include "action/action.h"

struct reload;

enum step_trial {
	TRIAL_NONE,		/* not begun, or nothing to try */
	TRIAL_RUNS,
	TRIAL_READY,
};

/* What becomes of one service of the new file. */
struct step {
	struct reload *r;
	struct service *s;	/* the running one, or FRESH: a new one */
	const struct conf_service *cs;
	struct service *staging;	/* a running one's new doors */
	unsigned diff;		/* bits of conf_diff */
	bool fresh;		/* S is known to nobody yet */
	bool deferred;		/* a door can only be opened at the commit */
	enum step_trial trial;
};

struct asker {
	TAILQ_ENTRY(asker) entry;
	bool wait;
	action_done *done;
	void *arg;
};
TAILQ_HEAD(askers, asker);

struct reload {
	struct usher *u;
	struct conf_source source;
	struct conf *conf, *old;
	struct conf_report report;
	int result;
	struct askers askers;
	struct step *steps;
	size_t n;
	bool preparing;		/* doors are open, workers are tried */
	bool abandoned;		/* answered already: the thread's end ends it */
	bool deferred;		/* some step is */
	size_t next;		/* step to be tried */
	unsigned trying;	/* workers that are not ready yet */
	struct timer more;
	unsigned rolling;	/* rolls that are waited for */
	size_t opened, changed, closed;
	char *failed;		/* a roll's reason */
	char *text;		/* the answer when all is well */
};

/* Is LIST's address the very door EP, or must it be bound anew? */
bool reload_same_door(const struct endpoint *ep, const struct addr *a);
/* The door of S, of any service, that A names for USE; or NULL. */
struct endpoint *reload_door(struct service *s, const struct addr *a,
			     enum endpoint_use use);
struct endpoint *reload_door_anywhere(struct usher *u, const struct addr *a,
				      enum endpoint_use use);
/* Does CS go on with EP? */
bool reload_wants(const struct conf_service *cs, const struct endpoint *ep);

/* ---- prepare.c ---- */

/* Opens what is new, and begins to try; reload_tried or reload_refuse will
 * be called, perhaps before it returns. */
void reload_prepare(struct reload *r);
/* The doors that leave no room for one another, right before the commit. 0
 * or -errno, *WHY. */
int reload_open_deferred(struct reload *r, char **why);
/* Closes and ends all that prepare has opened and begun. */
void reload_unprepare(struct reload *r);

/* ---- commit.c ---- */

void reload_commit(struct reload *r);

/* ---- reload.c, for prepare.c ---- */

/* All is ready; it can't be. R is freed. */
void reload_tried(struct reload *r);
void reload_refuse(struct reload *r, int result, const char *why);

#endif
