/*
 * spawn_private - what the files of spawn share, for nobody else.
 *
 * spawn.c is the handler, spawn_process.c the life of one process.
 */
#ifndef USHER_WORK_SPAWN_PRIVATE_H
#define USHER_WORK_SPAWN_PRIVATE_H

#include "inlet/packed.h"
#include "model/run.h"
#include "work/launch.h"

/* RECORD_WORKER's data under spawn. */
struct spawn_data {
	uint64_t cookie;
	int64_t accepted_us;
	uint32_t source;	/* of this process's; counted anew elsewhere */
	uint32_t is_run;
	struct packed peer;
};

struct process {
	TAILQ_ENTRY(process) entry;
	struct service *service;
	int record, output;
	pid_t pid;
	int64_t started;
	struct run *run;
	struct timer age;	/* max_age, then stop_timeout */
	bool told;
	bool failed;		/* how it ended */
};

struct spawn {
	TAILQ_HEAD(, process) processes;
	uint32_t nconns, nruns;
	struct timer retry, calm;
	struct endings *endings;	/* of failed programs, for the log */
	bool stopping;
	bool short_told;	/* of descriptors */
};

/*
 * Starts what L holds as a process with DATA, for RUN or with NULL for a
 * connection. WITH_STDOUT: its output is standard output too. Returns 0, or
 * -errno and the reason in *WHY, which is the caller's.
 */
int process_start(struct launch *l, const struct spawn_data *data,
		  struct run *run, bool with_stdout, char **why);

/* Takes over the process of RECORD, a RECORD_WORKER of S. */
void process_adopt(struct service *s, int record);

/* stop_signal, and SIGKILL after stop_timeout or when called once more. */
void process_stop(struct process *p);

/* Forgets P and closes its record; the process itself is left alone. */
void process_free(struct process *p);

static inline const struct spawn_data *process_data(const struct process *p)
{
	return RECORD_AS(p->record, struct spawn_data);
}

/* Tells the model when S was to stop and its last process has gone. */
void spawn_gone_if_done(struct service *s);

#endif
