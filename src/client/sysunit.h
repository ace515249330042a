/*
 * sysunit - the systemd unit that a process is of, and what systemd is about to
 * do with it.
 *
 * Built without libsystemd, or where no systemd runs: there is no unit.
 */
#ifndef USHER_CLIENT_SYSUNIT_H
#define USHER_CLIENT_SYSUNIT_H

#include <stdbool.h>
#include <sys/types.h>

struct sysunit {
	char *name;	/* "usher.service" */
	bool user;	/* of the user's own manager */
};

enum sysunit_job { SYSUNIT_NO_JOB, SYSUNIT_STOP, SYSUNIT_OTHER_JOB };

/* The service that PID is of; 0: this process. 0, or -ENOENT: none. */
int sysunit_of(pid_t pid, struct sysunit *out);
void sysunit_free(struct sysunit *u);

/* Whether PID is the main process of U. 1, 0 or -errno. */
int sysunit_is_main(const struct sysunit *u, pid_t pid);

/* What systemd is doing with U: an enum sysunit_job, or -errno. */
int sysunit_job(const struct sysunit *u);

/* Asks for U to be stopped. 0, or -errno: -EACCES and *WHY (freed by the
 * caller) when we may not. */
int sysunit_stop(const struct sysunit *u, char **why);

/* Until U is stopped. 0, -EIO: it failed to stop well, or -errno. */
int sysunit_wait_stopped(const struct sysunit *u);

/* Ends, first by SIGTERM, what is left of this process's own unit besides
 * it; after PATIENCE ms by SIGKILL. The number that had to be told. */
int sysunit_sweep(int patience);

#endif
