/*
 * keeper - a child that shares usher's descriptor table, and so outlives it
 * with every descriptor open.
 *
 * Made by clone(CLONE_FILES): even the connection that accept4() is just
 * installing lives on when usher is killed. It only waits. When usher is dead
 * it gives all carried descriptors, each with its number, to the next usher
 * that asks (continuity/takeover), or starts that one itself.
 */
#ifndef USHER_CONTINUITY_KEEPER_H
#define USHER_CONTINUITY_KEEPER_H

#include "model/model.h"

/* One question and its answers: the asker's id first, so that answers to one
 * that died asking are told apart. An answer without numbers is the last. */
#define KEEPER_BATCH 250
struct keeper_message {
	uint64_t id;
	int32_t number[KEEPER_BATCH];
};

/* Leaves when nobody has come for so long. */
#define KEEPER_PATIENCE_MS 60000

/*
 * Starts this generation's keeper and watches that it lives (it is started
 * anew at once). MODE is enum conf_keeper; CONTROL is the control socket's
 * path, beside which the next usher asks. 0 or -errno.
 */
int keeper_start(struct usher *u, enum conf_keeper mode, const char *control);

/* The keeper of the generation before: it has owned nothing since ours does.
 * Ends it. */
void keeper_dismiss_old(void);

/* The state's deadline has changed: the keeper looks at it. */
void keeper_wake(void);

/* An orderly end: no keeper, no socket to ask at. */
void keeper_stop(void);

/* The image and the words by which a keeper with `respawn` starts usher: this
 * process's own. Kept in the state. */
void keeper_remember(char *const *argv);

/* "CONTROL.keeper" */
char *keeper_path(const char *control);

/* Executes the image at ROLE_IMAGE0 + IMAGE with the remembered words and
 * --carry. Returns only when it fails: -errno. */
int keeper_execute(int image);

#endif
