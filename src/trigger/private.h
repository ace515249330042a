/*
 * private - what the files of trigger share among themselves.
 */
#ifndef USHER_TRIGGER_PRIVATE_H
#define USHER_TRIGGER_PRIVATE_H

#include "trigger/trigger.h"

/* RECORD_RUN's arg. */
enum run_kind { RUN_JOB, RUN_EVERY };

enum job_where { JOB_LATER, JOB_READY, JOB_RUNNING };

#define RUN_INLINE 104

/* RECORD_RUN's data. The record's id is the trigger's number. */
struct run_data {
	int64_t due;		/* ms, CLOCK_MONOTONIC; of what waits */
	int64_t period;		/* RUN_EVERY: of which setting that is */
	uint32_t len;		/* of the message */
	int32_t buffer;		/* its record_buffer; -1: it is in TEXT */
	uint32_t tries;
	uint32_t where;		/* enum job_where */
	char text[RUN_INLINE];
};

struct job {
	struct run run;
	TAILQ_ENTRY(job) entry;
	struct job *chain;	/* in the table, while it waits */
	uint32_t hash;
	enum job_where where;
	bool orphan;		/* ran under another usher, see queue_settle */
	struct timer due;
	struct trigger_waits waits;
	struct triggers *on;
};

TAILQ_HEAD(jobs, job);

struct triggers {
	struct service *service;
	struct requests *requests;
	struct jobs later, ready, running;
	int64_t nwaiting;
	uint32_t nrunning;
	struct job **table;	/* waiting ones by message's hash */
	uint32_t size;		/* of the table, a power of two */
	struct task start;
	struct timer rate, every;
	int every_record;
	uint64_t random;
	bool draining;		/* what has arrived is taken, over the bound */
	bool stopping;
};

static inline struct run_data *job_data(const struct job *j)
{
	return RECORD_AS(j->run.record, struct run_data);
}

/* trigger.c */
int trigger_request(struct service *s, const char *message, size_t len,
		    size_t n);
/* Starts what is ready, in this round's tasks. */
void trigger_soon(struct triggers *t);

/* queue.c */
uint32_t queue_hash(const char *message, size_t len);
struct job *queue_find(const struct triggers *t, uint32_t hash,
		       const char *message, size_t len);
/* A job that waits, in no list yet; NULL: the state is full. */
struct job *queue_add(struct triggers *t, uint32_t hash, const char *message,
		      size_t len);
/* Ready in MS, or now. The job waits. */
void queue_delay(struct triggers *t, struct job *j, int64_t ms);
/* From ready to running, and back to the front. */
void queue_run(struct triggers *t, struct job *j);
void queue_back(struct triggers *t, struct job *j);
/* From running to waiting again, in MS. */
void queue_again(struct triggers *t, struct job *j, int64_t ms);
/* Out of every list and of the state; freed. */
void queue_drop(struct triggers *t, struct job *j);
int queue_adopt(struct triggers *t, int record);
/* What ran when another usher ended runs on, or waits to run again. */
void queue_settle(struct triggers *t);

/* job.c */
/* What run.done is. */
void job_done(struct run *r, int status, const char *why);
/* What run.again is. */
void job_returned(struct run *r);
/* It is to run once more, in MS; where the same waits already that is it. */
void job_again(struct triggers *t, struct job *j, int64_t ms);
/* Tells who waits, and ends the job wherever it is. */
void job_end(struct triggers *t, struct job *j, int status, const char *why);

#endif
