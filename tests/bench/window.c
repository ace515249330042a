/*
 * window - what a generator counts, and the processor time that the subject
 * of the measurement used meanwhile.
 *
 * The subject's time is read by the generator itself, at the very edges of
 * the window: a reader elsewhere would come late on a busy machine.
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NS 1000000000ULL

static int slurp(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, buf, size - 1);
	close(fd);
	buf[n > 0 ? n : 0] = '\0';
	return 0;
}

/* User and system time of PID, of those it waited for, and of those below. */
static uint64_t tree_cpu(int pid)
{
	char path[64], buf[4096], *p, *end;
	int child;
	unsigned long t[4] = {0};
	uint64_t ns = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (slurp(path, buf, sizeof(buf)) == 0 && (p = strrchr(buf, ')')))
		sscanf(p,
		       ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u "
		       "%lu %lu %lu %lu",
		       &t[0], &t[1], &t[2], &t[3]);
	ns = (t[0] + t[1] + t[2] + t[3]) *
	     (NS / (unsigned)sysconf(_SC_CLK_TCK));
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	if (slurp(path, buf, sizeof(buf)) < 0)
		return ns;
	for (p = buf; child = (int)strtol(p, &end, 10), end != p; p = end)
		ns += tree_cpu(child);
	return ns;
}

/* cpu.stat of a cgroup v2, cpuacct.usage of a v1, or a tree of processes. */
static uint64_t cpu_now(const char *from)
{
	char buf[1024];

	if (!from)
		return 0;
	if (strncmp(from, "tree:", 5) == 0)
		return tree_cpu(atoi(from + 5));
	if (slurp(from, buf, sizeof(buf)) < 0)
		die("%s", from);
	if (strncmp(buf, "usage_usec ", 11) == 0)
		return strtoull(buf + 11, NULL, 10) * 1000;
	return strtoull(buf, NULL, 10);
}

bool window_option(struct window *w, int option, const char *value)
{
	switch (option) {
	case 't':
		w->seconds = atof(value);
		return true;
	case 'w':
		w->warm = atof(value);
		return true;
	case 'c':
		w->cpu_from = *value ? value : NULL;
		return true;
	}
	return false;
}

void window_open(struct window *w)
{
	if (w->seconds <= 0)
		w->seconds = 2;
	if (w->warm <= 0)
		w->warm = w->seconds / 4;
	w->deadline = now_ns() + (uint64_t)(w->warm * NS);
}

bool window_tick(struct window *w)
{
	uint64_t now = now_ns();

	if (now < w->deadline)
		return true;
	if (w->begin) {
		w->cpu = cpu_now(w->cpu_from) - w->start_cpu;
		w->end = now;
		return false;
	}
	w->start_cpu = cpu_now(w->cpu_from);
	w->begin = now;
	w->deadline = now + (uint64_t)(w->seconds * NS);
	return true;
}

void window_count(struct window *w, uint64_t n)
{
	if (w->begin)
		w->units += n;
}

void window_error(struct window *w, int error)
{
	if (!w->errors++)
		w->error = error;
}

void window_timed(struct window *w, uint64_t start)
{
	window_count(w, 1);
	if (w->begin)
		hist_add(&w->hist, now_ns() - start);
}

static unsigned hist_index(uint64_t ns)
{
	unsigned top = 63 - (unsigned)__builtin_clzll(ns | HIST_SUB);
	unsigned shift = top - 6; /* HIST_SUB is two to the sixth */

	return shift * HIST_SUB + (unsigned)(ns >> shift);
}

static double hist_value(unsigned index)
{
	unsigned shift = index / HIST_SUB ? index / HIST_SUB - 1 : 0;
	uint64_t base = index - (uint64_t)shift * HIST_SUB;

	return (double)((base << shift) + ((1ULL << shift) / 2)) / 1e3;
}

void hist_add(struct hist *h, uint64_t ns)
{
	unsigned i = hist_index(ns);

	if (i >= ARRAY_SIZE(h->count))
		i = ARRAY_SIZE(h->count) - 1;
	h->count[i]++;
	h->total++;
	if (ns > h->max)
		h->max = ns;
}

double hist_at(const struct hist *h, double q)
{
	uint64_t want = (uint64_t)(q * (double)h->total), seen = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(h->count); i++) {
		seen += h->count[i];
		if (seen > want)
			return hist_value(i);
	}
	return (double)h->max / 1e3;
}

static const char *error_text(int error)
{
	return error < 0 ? "wrong answer" : strerror(error);
}

void window_print(const struct window *w)
{
	const struct hist *h = &w->hist;
	bool first = true;

	printf("{\"units\": %llu, \"seconds\": %.6f, \"cpu\": %.6f, "
	       "\"errors\": %llu, \"error\": \"%s\"",
	       (unsigned long long)w->units, (double)(w->end - w->begin) / 1e9,
	       (double)w->cpu / 1e9, (unsigned long long)w->errors,
	       w->errors ? error_text(w->error) : "");
	printf(", \"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f, \"max\": %.1f",
	       hist_at(h, 0.5), hist_at(h, 0.99), hist_at(h, 0.999),
	       (double)h->max / 1e3);
	printf(", \"hist\": [");
	for (unsigned i = 0; i < ARRAY_SIZE(h->count); i++) {
		if (!h->count[i])
			continue;
		printf("%s[%.2f, %llu]", first ? "" : ", ", hist_value(i),
		       (unsigned long long)h->count[i]);
		first = false;
	}
	printf("]}\n");
	fflush(stdout);
}
