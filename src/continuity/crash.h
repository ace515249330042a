/*
 * crash - a crash of our own is told from a kill, and counted.
 *
 * What the next usher takes over may be what killed this one: after some
 * crashes in a row it must not go on the same way (continuity/begin), and not
 * as fast (continuity/keeper). Somebody's kill -9 says nothing of the kind.
 */
#ifndef USHER_CONTINUITY_CRASH_H
#define USHER_CONTINUITY_CRASH_H

#include "base/loop.h"

/* From here on a crash of this process is counted in the state; one that
 * lives for ten seconds begins at 0 again. After the state is mapped. */
void crash_watch(struct loop *l);

#endif
