/*
 * loot - listening sockets out of a program that knows nothing of usher.
 */
#ifndef USHER_CLIENT_LOOT_H
#define USHER_CLIENT_LOOT_H

#include <sys/types.h>

#define LOOT_MAX 64

/*
 * Duplicates of PID's sockets that listen on ADDRESS into FDS (by
 * pidfd_getfd, which wants the right to trace PID). How many, at least 1; or
 * -errno and half a sentence (allocated) in *WHY.
 */
int loot_listening(pid_t pid, const char *address, int *fds, char **why);

#endif
