/*
 * admit - who may come in, before a worker sees anything.
 *
 * allow and deny, rates, limits in all and for each source. Memory for
 * sources is bounded. A limit never outlasts its cause.
 */
#ifndef USHER_INLET_ADMIT_H
#define USHER_INLET_ADMIT_H

#include "model/model.h"

/* What is asked before accept (no peer is known yet): may one more come in?
 * false: HOLD_FULL or HOLD_RATE was set and will be released. */
bool admit_room(struct service *s);

/*
 * Judges C. 0: come in, and C->source holds its place until admit_leave. Else
 * 1 + the refusal, and *HOW.
 */
int admit_check(struct service *s, struct conn *c, enum conf_on *how);

/* What it needs is there before the first arrival (else: at it). */
void admit_open(struct service *s);

/* After a take-over, before admit_enter: the RECORD_SOURCES of S. 0, or
 * -errno: it is not wanted, or can't be read. */
int admit_adopt(struct service *s, int record);

/* After a take-over: C was let in by another process. Counts it again, and
 * sets C->source. Never refuses. */
void admit_enter(struct service *s, struct conn *c);

/* After a take-over: MORE (or less) are in that will be counted by
 * admit_enter later. */
void admit_expect(struct service *s, int more);

/* The connection with SOURCE has ended. */
void admit_leave(struct service *s, uint32_t source);

/* A trigger's judgement: rules and its source's rate, no places. As
 * admit_check. `rate` refuses no trigger: its run waits, see src/trigger. */
int admit_trigger(struct service *s, const struct conn *c);

/* New settings (reload). Made at first use. */
void admit_changed(struct service *s);
void admit_free(struct service *s);

/* For `explain`: which rule or limit would say what to a peer, into OUT (an
 * allocated text): "allow 192.0.2.0/24 (usher.ini:12)". 0 or 1 + refusal. */
int admit_explain(struct service *s, const struct conn *c, char **out);

/* How many connections are in, of how many sources. */
uint32_t admit_inside(const struct service *s);
uint32_t admit_sources(const struct service *s);

#endif
