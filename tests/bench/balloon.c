/*
 * balloon - makes the program that loads it large: BALLOON=BYTES of memory,
 * each page written to.
 *
 * Loaded by LD_PRELOAD into usher, to show that what a spawn costs does not
 * depend on the parent's size. Its children are no balloons: the variable is
 * taken out of the environment.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

__attribute__((constructor)) static void inflate(void)
{
	const char *text = getenv("BALLOON");
	size_t size = text ? strtoull(text, NULL, 10) : 0;
	char *p;

	unsetenv("BALLOON");
	unsetenv("LD_PRELOAD");
	if (!size)
		return;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		abort();
	madvise(p, size, MADV_NOHUGEPAGE);
	memset(p, 1, size);
}
