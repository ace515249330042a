/*
 * action - what can be done: the only hand that changes the model.
 *
 * A signal, the file and the control socket all come through here, so each
 * change is in one place to test, log and authorise. Answers that take time
 * come through a callback, once.
 */
#ifndef USHER_ACTION_ACTION_H
#define USHER_ACTION_ACTION_H

#include "model/model.h"

/* RESULT 0 or -errno; TEXT: one line for the caller. */
typedef void action_done(void *arg, int result, const char *text);

/* Opens every service of C (a cold start). Degraded services try again.
 * Returns how many services have doors open, or -errno. */
int action_open(struct usher *u, struct conf *c);

/* After a take-over: every service of C, without doors. Records are hung in
 * (continuity/revive), then action_resume_all opens what is missing, starts
 * handlers and triggers, and looks at the doors. */
int action_revive(struct usher *u, struct conf *c);
/* Those services of C, an earlier file, that were finishing what they had;
 * action_resume_all lets them go on with it. */
void action_revive_leaving(struct usher *u, struct conf *c);
void action_resume_all(struct usher *u);

/* Reads the file anew (U->conf's path), plans, prepares, commits, retires.
 * WAIT: DONE when its rolls have settled, else once committed. Asked for
 * while one is under way: another follows it. REPORT's errors are in TEXT, a
 * line each. */
int action_reload(struct usher *u, bool wait, action_done *done, void *arg);

/* Gives up the reload that is under way and those that would follow, with
 * nothing changed: who asked is told RESULT and WHY. */
void action_reload_end(struct usher *u, int result, const char *why);

/* What a reload would change, were FILE in place of U's own (NULL: as it is),
 * a line each service, as DONE's text; or the file's mistakes with -EINVAL. */
int action_plan(struct usher *u, const char *file, action_done *done,
		void *arg);

int action_pause(struct service *s);
int action_resume(struct service *s);
int action_drain(struct service *s, int64_t after_ms, bool wait,
		 action_done *done, void *arg);
/* usher ends: so does every wait for an empty service. */
void action_drain_end(void);
int action_roll(struct service *s, bool wait, action_done *done, void *arg);
int action_scale(struct service *s, struct text_range range);

/* Doors close first, each queue drained, what is in flight ends within
 * shutdown_timeout; then DONE. NOW: at once. May be called again with NOW. */
void action_shutdown(struct usher *u, bool now, action_done *done, void *arg);

/* Closes S's doors (each queue drained first) and stops it; it is in U's
 * list of the gone ones. NOW: what is in flight is told to stop. Ends in
 * action_gone, which is what usher.on_gone is. */
void action_retire(struct service *s, bool now);
void action_gone(struct service *s);

/* Ends and frees every service, whatever is in flight: this process will not
 * serve. */
void action_abandon(struct usher *u);

/* The handler for a service's settings. */
const struct handler *action_handler(const struct conf_service *cs);

#endif
