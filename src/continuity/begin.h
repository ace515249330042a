/*
 * begin - how this process begins: from nothing, or where another one ended.
 */
#ifndef USHER_CONTINUITY_BEGIN_H
#define USHER_CONTINUITY_BEGIN_H

#include <stdbool.h>

#include "model/model.h"

enum begin_how {
	BEGIN_COLD,	/* no state: begin anew */
	BEGIN_CARRIED,	/* execve kept our descriptors (--carry) */
	BEGIN_STORED,	/* from a keeper, found by systemd's store */
	BEGIN_ASKED,	/* from a keeper, found beside the control socket */
};

/*
 * Finds out, and brings the descriptors here: but for BEGIN_COLD the state is
 * mapped and record_globals()->generation counted up. CARRY: --carry was
 * given. CONTROL: path of the control socket whose lock somebody holds, or
 * NULL. WHY (allocated) says why a state that was there could not be used;
 * the caller logs it as an error.
 */
enum begin_how begin_find(bool carry, const char *control, char **why);

/* Is the holder of CONTROL's lock dead, so that only its keeper has it? */
bool begin_holder_dead(const char *control);

/* This process serves: it was no failed take-over. */
void begin_succeeded(void);

/* The configuration in force goes into the state, and those of services that
 * are removed and finish what they have. */
void begin_remember(const struct usher *u);
/* And out of it: 0 or -errno, *OUT. NOTES may be NULL. */
int begin_recall(struct conf **out, struct conf_report *report);
/* The WHICHth one of those that finish, from 0; -ENOENT: there is none. */
int begin_recall_leaving(unsigned which, struct conf **out);

#endif
