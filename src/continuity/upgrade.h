/*
 * upgrade - another binary goes on in this process: same pid, children, doors
 * and connections; with a way back.
 *
 * Rehearsal: the new binary, as a child, looks at a copy of the state while
 * the doors are served. Then execve at the end of a turn. An image that
 * exits, crashes or hangs before it is ready, or within some seconds after,
 * is followed by the old one with the same state.
 */
#ifndef USHER_CONTINUITY_UPGRADE_H
#define USHER_CONTINUITY_UPGRADE_H

#include "model/model.h"

/* RESULT is -errno, TEXT says why: only failures are told here. */
typedef void upgrade_done(void *arg, int result, const char *text);

/*
 * Begins an upgrade to FILE (NULL: the file that this process was started
 * from). -EBUSY: one is under way. -errno: FILE can't be opened (*WHY,
 * allocated). 0: DONE tells when the rehearsal failed; when it went well
 * there is no later: the process is another image's, and how it ended is in
 * the state (upgrade_result).
 */
int upgrade_start(struct usher *u, const char *file, char **why,
		  upgrade_done *done, void *arg);

/* usher serve --rehearse: the state at ROLE_STATE is a copy; says "ok" on
 * standard output when this binary can go on from there. Exit status. */
int upgrade_rehearse(void);

/* This image has a keeper and owns the state: probation begins. Nothing when
 * it did not come by an upgrade. */
void upgrade_ready(struct usher *u);

/* This image can't serve (WHY): the old one goes on. Returns only when it
 * came by no upgrade, or can't. */
void upgrade_go_back(const char *why);

/* At the very beginning: a process that systemd started while an upgrade was
 * unconfirmed executes the old image before all else. */
void upgrade_check_store(char **argv);

/* How the last one ended. */
struct upgrade_result {
	uint32_t phase;		/* 0: none under way */
	uint32_t upgrades, backs;
	int result;		/* 0, -errno */
	const char *why;
};
void upgrade_result(struct upgrade_result *out);

#endif
