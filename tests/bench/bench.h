/*
 * bench - what the limits and the load generators share.
 *
 * Addresses, the clock, a window in which work is counted, a histogram, and
 * results as one line of JSON. Programs here are tools of a measurement: what
 * goes wrong outside of the work that is counted ends the program by die().
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Says what went wrong, with errno's text if errno is set, and exits 1. */
void die(const char *format, ...)
	__attribute__((noreturn, format(printf, 1, 2)));

/* Nanoseconds of CLOCK_MONOTONIC. */
uint64_t now_ns(void);

/* A number with an optional K, M or G (powers of 1024); else dies. */
uint64_t number(const char *text);

/* Raises the soft limit of descriptors to the hard one. */
void all_descriptors(void);

/* An address: tcp:IP:PORT, unix:PATH, unix-dgram:PATH, fifo:PATH. */
struct where {
	int family; /* 0: a FIFO */
	int type;
	socklen_t len;
	struct sockaddr_storage sa;
	char path[108]; /* "" for TCP */
};

/* Reads TEXT; dies when it is no address. */
struct where where(const char *text);

/*
 * A bound socket, listening if it is a stream, close-on-exec; FLAGS is
 * SOCK_NONBLOCK or 0. With LISTEN_FDS in the environment (TEXT NULL) it is
 * descriptor 3. A Unix path that exists is removed first.
 */
int door(const char *text, int flags);

/*
 * A socket whose connect has begun; FLAGS is SOCK_NONBLOCK or 0. Returns the
 * descriptor or -errno; EINPROGRESS is no error.
 */
int dial(const struct where *to, int flags);

/* Times in nanoseconds, by value within 1.6 %. */
#define HIST_SUB 64
struct hist {
	uint64_t count[60 * HIST_SUB];
	uint64_t total, max;
};

void hist_add(struct hist *h, uint64_t ns);

/* The time in microseconds that the share Q (0 to 1) stays within. */
double hist_at(const struct hist *h, double q);

/*
 * What one run of a generator counts. Work before the warm-up's end and after
 * the window's is done all the same, but not counted.
 */
struct window {
	double warm, seconds; /* as asked */
	const char *cpu_from; /* cgroup's file, tree:PID, or NULL */
	uint64_t begin, end; /* ns; 0 before the warm-up's end */
	uint64_t cpu; /* ns of the subject within the window */
	uint64_t start_cpu, deadline;
	uint64_t units, errors;
	int error; /* the first one's errno, -1: a wrong answer */
	struct hist hist;
};

/* Takes -t SECONDS, -w SECONDS, -c CPU; returns false if it is none of them. */
bool window_option(struct window *w, int option, const char *value);
#define WINDOW_OPTIONS "t:w:c:"

/* Starts the clock; SECONDS is 2 and the warm-up a quarter by default. */
void window_open(struct window *w);

/* Looks at the clock; false once the window is over. */
bool window_tick(struct window *w);

/* Counts N units of work, or an error: the errno, or -1 for a wrong answer. */
void window_count(struct window *w, uint64_t n);
void window_error(struct window *w, int error);

/* A unit of work that took so long, begun at START (a now_ns()). */
void window_timed(struct window *w, uint64_t start);

/* Prints the result as one line of JSON on standard output. */
void window_print(const struct window *w);

#endif
