/*
 * failing-malloc - an allocation that fails, for LD_PRELOAD.
 *
 *	cc -shared -fPIC -O1 -o failing-malloc.so failing-malloc.c -ldl
 *
 * A site is where the program allocates: the chain of return addresses inside
 * its own text. With FAIL_SITES=FILE each site that is met is written there
 * once; with FAIL_SITE=HASH the first allocation of that site gives NULL, and
 * the file FAIL_DONE is made, which must not be there before: it fails once,
 * not again in a process that goes on from there.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEPTH 14
#define SEEN  65536

static void *(*real_malloc)(size_t), *(*real_calloc)(size_t, size_t),
	*(*real_realloc)(void *, size_t);
static uintptr_t text_begin, text_end;
static uint32_t seen[SEEN], wanted;
static int sites = -1;
static const char *done;
static __thread int inside = 1;	/* until main's thread is ready */
static char early[65536];
static size_t early_used;

static int first_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	(void)arg;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type != PT_LOAD || !(p->p_flags & PF_X))
			continue;
		text_begin = info->dlpi_addr + p->p_vaddr;
		text_end = text_begin + p->p_memsz;
	}
	return 1;		/* the program is the first */
}

__attribute__((constructor)) static void begin(void)
{
	const char *file = getenv("FAIL_SITES"), *site = getenv("FAIL_SITE");
	void *prime[2];

	real_malloc = dlsym(RTLD_NEXT, "malloc");
	real_calloc = dlsym(RTLD_NEXT, "calloc");
	real_realloc = dlsym(RTLD_NEXT, "realloc");
	dl_iterate_phdr(first_object, NULL);
	backtrace(prime, 2);	/* loads what it needs */
	if (file)
		sites = fcntl(open(file, O_WRONLY | O_CREAT | O_APPEND, 0666),
			      F_DUPFD_CLOEXEC, 900);
	wanted = site ? (uint32_t)strtoul(site, NULL, 16) : 0;
	done = getenv("FAIL_DONE");
	inside = 0;
}

static uint32_t site_now(void)
{
	void *chain[DEPTH];
	int n = backtrace(chain, DEPTH);
	uint32_t hash = 2166136261u;

	for (int i = 0; i < n; i++) {
		uintptr_t at = (uintptr_t)chain[i];

		if (at < text_begin || at >= text_end)
			continue;
		hash = (hash ^ (uint32_t)(at - text_begin)) * 16777619u;
	}
	return hash ? hash : 1;
}

static void note(uint32_t hash)
{
	char line[16];
	int n;

	for (uint32_t i = hash;; i++) {
		if (seen[i % SEEN] == hash)
			return;
		if (seen[i % SEEN])
			continue;
		seen[i % SEEN] = hash;
		break;
	}
	n = snprintf(line, sizeof(line), "%08x\n", hash);
	if (write(sites, line, (size_t)n) < 0)
		sites = -1;
}

/* Does this one fail? */
static int fails(void)
{
	int failed = 0, saved = errno;
	uint32_t hash;

	if (inside || (sites < 0 && !wanted))
		return 0;
	inside = 1;
	hash = site_now();
	if (sites >= 0)
		note(hash);
	if (wanted && hash == wanted) {
		int fd = open(done, O_CREAT | O_EXCL | O_CLOEXEC, 0666);

		failed = fd >= 0;
		if (failed)
			close(fd);
		wanted = 0;
	}
	inside = 0;
	errno = failed ? ENOMEM : saved;
	return failed;
}

void *malloc(size_t size)
{
	if (!real_malloc)
		real_malloc = dlsym(RTLD_NEXT, "malloc");
	return fails() ? NULL : real_malloc(size);
}

/* dlsym itself may ask for memory. */
void *calloc(size_t n, size_t size)
{
	if (!real_calloc) {
		void *p = early + early_used;

		early_used += (n * size + 15) & ~(size_t)15;
		return early_used <= sizeof(early) ? p : NULL;
	}
	return fails() ? NULL : real_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	if (!real_realloc)
		real_realloc = dlsym(RTLD_NEXT, "realloc");
	return fails() ? NULL : real_realloc(p, size);
}
