/*
 * record - what each long-lived descriptor is, and whose, in a memfd.
 *
 * Everything that is watched or kept (doors, queues, workers, relays, half
 * requests, control clients) is a record: a fixed struct in shared memory
 * that outlives this process. An upgrade (execve), a crash and a restart all
 * go on from the same records, worked on in place; nothing is converted or
 * saved when the moment comes. So:
 *
 * - Descriptor NUMBERS are the identity. They stay equal in whatever process
 *   goes on, so epoll's own descriptor goes along, and its data is a record's
 *   index and serial, never a pointer.
 * - A record's descriptors have no close-on-exec flag. Children are started
 *   by base/child alone, which closes what is not named.
 * - A record is filled first and marked used last (record_commit), and
 *   unmarked first when it ends (record_close).
 * - What never changes is summed; what changes must be range-checked by who
 *   takes it over. No pointers in here.
 *
 * Beside the records the state holds one block of counters and settings for
 * each service (struct slot), and texts (the last good configuration).
 * Numbers 3 to RECORD_LOW - 1 are roles, the same in every process.
 */
#ifndef USHER_BASE_RECORD_H
#define USHER_BASE_RECORD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

/* 1: tests/usher-next, another build whose state has more. */
#ifndef USHER_NEXT
#define USHER_NEXT 0
#endif

/* Descriptors with a fixed number. */
enum record_role {
	ROLE_STATE = 3,	/* the memfd */
	ROLE_EPOLL,
	ROLE_SIGNAL,	/* signalfd */
	ROLE_CHANNEL,	/* usher's and keeper's end of the pair in the store */
	ROLE_IMAGE0,	/* this and the other image, by turns */
	ROLE_IMAGE1,
	ROLE_KEEPER0,	/* pidfds of the keepers, by turns */
	ROLE_KEEPER1,
	ROLE_NULL,	/* /dev/null */
	ROLE_LOCK,	/* the lock beside the control socket */
	ROLE_RESERVE,	/* given up to be able to say no at EMFILE */
	ROLE_ASK,	/* where the next usher asks the keeper (no manager) */
	ROLE_ALARM,	/* timerfd: the loop's next timer */
	ROLE_MADE,	/* what a rehearsal made of the configuration */
	ROLE_COPY,	/* the state that it is done on */
	ROLE_ANSWER,	/* where it says how it went, while it is started */
	ROLE_PID,	/* the pid file, locked */
	RECORD_LOW = 20,
};

enum record_kind {
	RECORD_NONE,
	RECORD_DOOR,	/* a listening or datagram socket, a FIFO */
	RECORD_QUEUE,	/* pass: fd 0 ours, fd 1 the workers' */
	RECORD_STATUS,	/* postfix: status channel, fd 0 ours, fd 1 theirs */
	RECORD_FLOW,	/* postfix: the flow pipe */
	RECORD_WORKER,	/* fd 0 its pidfd */
	RECORD_OUTPUT,	/* a worker's stdout and stderr, read end */
	RECORD_NOTIFY,	/* a worker's NOTIFY_SOCKET */
	RECORD_READY,	/* a worker's readiness pipe or ack socket */
	RECORD_CONN,	/* a connection that waits for something of ours */
	RECORD_RELAY,	/* fd 0 client, 1 upstream, 2 to 5 pipes */
	RECORD_REQUEST,	/* a trigger connection that is being read */
	RECORD_RUN,	/* a trigger that waits or runs */
	RECORD_CLIENT,	/* a control client */
	RECORD_STORED,	/* a descriptor held for others */
	RECORD_LEASE,	/* a door lent to a program, fd 0 its pidfd */
	RECORD_WATCH,	/* resolver's and other wake-ups: rebuilt; inotify */
	RECORD_SOURCES,	/* fd 0 a memfd: how fast each source came */
#if USHER_NEXT
	RECORD_NEXT,
#endif
	RECORD_KINDS,
};

#define RECORD_FDS  6
#define RECORD_DATA 144

struct record {
	uint16_t magic, len, version, kind;
	union {
		struct {
			uint32_t sum;	  /* of what stays: magic to serial */
			uint32_t service; /* slot number, RECORD_NOBODY:
					   * usher's own */
		};
		_Atomic uint64_t whose;	/* both, see record_move */
	};
	uint32_t arg;		/* the kind's own constant */
	uint32_t serial;
	int32_t fd[RECORD_FDS];	/* -1: none */
	_Atomic uint32_t used;	/* 0 free, 1 in use, 2 being closed */
	uint64_t id;		/* pid, SO_COOKIE, trigger's number */
	/* The kind's own; see the file that opens it for the struct. */
	unsigned char data[RECORD_DATA] __attribute__((aligned(8)));
};

#define RECORD_NOBODY UINT32_MAX
#define SLOT_NAME     48
#define SLOT_DATA     592

/* One service's block. DATA is struct slot_data of model/model.h. */
struct slot {
	char name[SLOT_NAME];	/* empty: free */
	unsigned char data[SLOT_DATA] __attribute__((aligned(8)));
};

/* What of the whole process lives on. Written by daemon and continuity. */
struct record_globals {
	uint64_t born;		/* CLOCK_MONOTONIC, ms: of the first process */
	uint64_t next_id;	/* triggers */
	uint32_t generation;	/* one more at each start that took over */
	_Atomic uint32_t owner;	/* whose keeper answers: its generation * 2
				 * and at which ROLE_KEEPER its pidfd is */
	uint32_t phase;		/* of an upgrade: 0 none, 1 handed, 2 ready */
	uint32_t image;		/* 0 or 1: which ROLE_IMAGE runs */
	uint32_t pid;
	uint32_t takeovers;	/* in a row that did not become ready */
	uint32_t crashes, upgrades, backs;
	uint32_t self_crashes;	/* in a row, by a fault of usher's own */
	uint32_t clean;		/* 1: nothing was in flight */
	uint32_t log_level;	/* set on the control socket; 0: as the file */
	uint32_t faulted;	/* a fault point has acted (debug builds) */
	uint32_t keeper;	/* enum conf_keeper in force */
	uint32_t keeper_pid;
	uint32_t stored;	/* channel and state are in systemd's store */
	uint64_t deadline;	/* of an upgrade, ms */
	uint64_t nofile_soft, nofile_hard;	/* RLIMIT_NOFILE at birth */
	int32_t result;		/* of an upgrade: 0, -errno */
	char why[108];		/* and its text */
	uint64_t level;		/* of the image that settled last */
#if USHER_NEXT
	uint64_t next;
#endif
	/* New ones come last, in eights (doc/HACKING). */
};

/*
 * Makes the memfd and maps it; room for MAX records (descriptors can't be
 * more) and for SLOTS services. Returns 0 or -errno.
 */
int record_open(uint32_t max, uint32_t slots);

/* Maps the state at ROLE_STATE that another process left; checks header and
 * records as record_check does. Returns 0, or -EINVAL and why in *WHY. */
int record_adopt(const char **why);

/*
 * Nobody goes back to the image before this one: what only that one knew is
 * ended. Records of kinds that are not known here are closed, fields of the
 * globals that are not known here become zero. Until then both are left.
 */
void record_settle(void);

/* The level of the image that settled last before this process. Where it is
 * lower than that of a field in a kind's data, what stands in that field is
 * not kept up: it counts as zero. */
unsigned record_level(void);

/* Was nothing in flight in what this process took over? An upgrade's state
 * is so: what it says is believed. */
bool record_was_clean(void);

/*
 * After record_adopt, where who left the state did not end in order: a record
 * no longer names a descriptor that is not open, that has the flag close-on-
 * exec (a library's), that stands below RECORD_LOW, or that a newer record
 * has too (killed between its making and the other's end).
 */
void record_own(void);

/* Looks at a mapped state of SIZE bytes, changes nothing: NULL or why not.
 * Serves the rehearsal of an upgrade, the take-over and the fuzzer. */
const char *record_check(const void *state, size_t size);

/*
 * A copy of all but the buffers, in a memfd of its own (close-on-exec): what
 * an upgrade rehearses with. Begin returns the descriptor or -errno; more
 * copies a fraction of a millisecond's worth from *AT (0 at first) and
 * returns 1, 0 when that was all, or -errno. The state may change between.
 */
int record_copy_begin(void);
int record_copy_more(int fd, uint64_t *at);

/* An upgrade that was under way in the state at FD is called off: the other
 * image goes on. False: none was, or it is no state. */
bool record_step_back(int fd);

/* Unmaps and closes the memfd (an orderly end). */
void record_shutdown(void);

struct record_globals *record_globals(void);

/*
 * A new record of KIND, not yet committed. SERVICE is a slot or
 * RECORD_NOBODY. Returns its index, or -ENFILE when all are taken.
 */
int record_new(enum record_kind kind, uint32_t service, uint32_t arg);

/* Sums and marks it used: from here on a crash keeps it. */
void record_commit(int index);

/* It is another service's from here on; before and after it is whole. */
void record_move(int index, uint32_t service);

struct record *record_at(int index);

/* Its kind's own part as TYPE; the size is checked at compile time. */
#define RECORD_AS(index, type)                                          \
	({                                                              \
		_Static_assert(sizeof(type) <= RECORD_DATA, #type);     \
		(type *)(void *)record_at(index)->data;                 \
	})

/* Puts FD (or -1) at place SLOT of a record that is in use. What was there
 * is not closed. The flag close-on-exec is taken from FD. */
void record_set_fd(int index, int slot, int fd);

/* Closes its descriptors from RECORD_LOW up and ends it. An index below 0 is
 * ignored. */
void record_close(int index);

/* Ends the record, leaves its descriptors open: they are somebody else's. */
void record_forget(int index);

/* Each record in use of KIND (RECORD_NONE: any): FROM is -1 first, then what
 * it returned; -1 at the end. */
int record_next(enum record_kind kind, int from);

/* Was it there before this process took over? */
bool record_is_old(int index);

/* How many are in use, and may be. */
uint32_t record_count(void);
uint32_t record_max(void);

/* Moves FD to the fixed number ROLE. Returns 0 or -errno; FD is closed. */
int record_role(int fd, enum record_role role);

/* The slot named NAME, made when MAKE; or -ENOENT, or -ENOSPC. */
int slot_find(const char *name, bool make);
struct slot *slot_at(uint32_t index);
/* Clears the slot; its number is free. */
void slot_end(uint32_t index);
uint32_t slot_max(void);

/*
 * Buffers for bytes in flight (relays, half-read requests), in the state so
 * that a crash keeps them. Last given back, first taken, so few pages are in
 * use. Returns its number, or -ENOBUFS.
 */
#define RECORD_BUFFER 16384
int record_buffer_new(void);
void record_buffer_end(int number);
char *record_buffer(int number);
/* After a take-over: NUMBER is in use by a record. -EINVAL: there is no such
 * buffer, or it is somebody's already. */
int record_buffer_claim(int number);
/* All that are somebody's have been claimed: the others are free. Until then
 * only buffers that nobody ever had are given out. */
void record_buffers_claimed(void);

/*
 * A text of the state by NAME (31 bytes at most): configuration, JSON of
 * small things. Set replaces it whole, by a second copy and a switch, so that
 * a crash leaves the old or the new. Returns 0 or -ENOSPC. NULL ends it.
 */
int record_text_set(const char *name, const char *text, size_t len);
const char *record_text(const char *name, size_t *len);

#endif
