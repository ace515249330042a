/*
 * world - what a configuration finds outside of its files: users, groups,
 * programs, and what usher itself may do.
 *
 * Asked once for each name in a load. May block: never in the loop.
 */
#ifndef USHER_CONF_WORLD_H
#define USHER_CONF_WORLD_H

#include "base/child.h"
#include "conf/names.h"

struct world {
	struct names users;	/* "USER:GROUP" to struct world_user */
	struct names programs;	/* path to struct world_program */
	uint64_t caps;		/* effective capabilities, a bit each */
	bool caps_known;
};

/* USER or GROUP may be NULL, as in child_user_find. 0 and *OUT (the world's),
 * or -ENOENT and the word in *MISSING, or -errno. */
int world_user(struct world *w, const char *user, const char *group,
	       const struct child_user **out, const char **missing);
/* A deep copy. */
void world_user_copy(struct child_user *to, const struct child_user *from);

/* Why the program at PATH can't be executed (the world's text), or NULL. */
const char *world_program(struct world *w, const char *path);
/* Where PATH (the variable) has WORD: allocated, or NULL. */
char *world_on_path(const char *word);

/* May usher become WHO? */
bool world_may_become(struct world *w, const struct child_identity *who);
/* May usher change its root? bind PORT? */
bool world_may_chroot(struct world *w);
bool world_may_bind(struct world *w, unsigned port);

void world_free(struct world *w);

#endif
