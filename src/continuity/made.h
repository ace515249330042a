/*
 * made - the configuration as a rehearsal made it, for the image that it was
 * a rehearsal of.
 *
 * To read a configuration's text, and to ask for users and hosts by name,
 * takes longer than all the rest of an upgrade. The new binary does it in the
 * rehearsal, while the doors are served, and leaves what came out (conf/pack)
 * in a memfd at ROLE_MADE. It is sealed when it is whole, and of use to that
 * image alone, and only while the text is the same; who can't use it reads
 * the text.
 */
#ifndef USHER_CONTINUITY_MADE_H
#define USHER_CONTINUITY_MADE_H

#include "conf/conf.h"

/* An empty one at ROLE_MADE, for a rehearsal to fill. 0 or -errno. */
int made_open(void);

/* In the rehearsal: C is what the state's text says. That nobody gave us a
 * place for it is no error. */
void made_fill(const struct conf *c);

/* In an image that goes on: what it made of TEXT, or NULL. */
struct conf *made_take(const char *text, size_t len);

/* Nobody wants it any more. */
void made_drop(void);

#endif
