/*
 * takeover - the descriptors of an usher that ended, from its keeper, at
 * their old numbers.
 */
#ifndef USHER_CONTINUITY_TAKEOVER_H
#define USHER_CONTINUITY_TAKEOVER_H

#include <stdbool.h>
#include <stdint.h>

/* Connects to the keeper beside CONTROL (a path). The descriptor or -errno
 * (-ENOENT, -ECONNREFUSED: there is none). */
int takeover_find(const char *control);

/*
 * Asks on SOCK (taken) and receives everything at its number; all of ours
 * above 2 but those at MAX - TAKEOVER_ASIDE and up (the last number is used
 * here) are closed before. The state is then at
 * ROLE_STATE. MAX: descriptors that this process may have. 0 or -errno:
 * -ECONNRESET the keeper ended meanwhile.
 */
#define TAKEOVER_ASIDE 64
int takeover_receive(int sock, int max);

#endif
