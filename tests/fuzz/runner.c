/*
 * runner - a fuzz target without libFuzzer: its corpus, and what a few simple
 * changes make of it, the same in each run.
 *
 * Every file of the corpus as it is, every prefix of the short ones, and some
 * hundred copies with bytes changed, doubled and dropped. `make fuzz` is the
 * real thing.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fuzz.h"

#define PREFIXES 600	/* no more of them: they cost the square */
#define CHANGES	 300
#define MOST	 65536

static uint32_t state = 1;

/* xorshift: the same numbers in each run. */
static uint32_t number(uint32_t below)
{
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state % below;
}

/* On a copy of its own size, so that a sanitizer sees a read past the end. */
static void try(const uint8_t *data, size_t len)
{
	uint8_t *copy = xmalloc(len);

	memcpy(copy, data, len);
	LLVMFuzzerTestOneInput(copy, len);
	free(copy);
}

static void change(uint8_t *data, size_t *len)
{
	size_t at = number((uint32_t)*len);
	size_t n = 1 + number(8);

	if (n > *len - at)
		n = *len - at;
	switch (number(3)) {
	case 0:
		data[at] = (uint8_t)number(256);
		break;
	case 1:
		memmove(data + at, data + at + n, *len - at - n);
		*len -= n;
		break;
	default:
		memmove(data + at + n, data + at, *len - at);
		*len += n;
		break;
	}
}

static void run(const uint8_t *data, size_t len)
{
	uint8_t *copy = xmalloc(MOST + 64);

	try(data, len);
	for (size_t i = 0; i < len && i < PREFIXES; i++)
		try(data, i);
	for (int i = 0; i < CHANGES && len > 0; i++) {
		size_t n = len;

		memcpy(copy, data, len);
		for (uint32_t j = number(4); j < 4 && n > 0; j++)
			change(copy, &n);
		try(copy, n);
	}
	free(copy);
}

static int run_file(const char *path)
{
	static uint8_t data[MOST];
	FILE *f = fopen(path, "re");
	size_t len;

	if (!f) {
		perror(path);
		return 1;
	}
	len = fread(data, 1, sizeof(data), f);
	fclose(f);
	run(data, len);
	return 0;
}

int main(int argc, char **argv)
{
	const char *dir = argc > 1 ? argv[1] : FUZZ_CORPUS;
	struct dirent **names = NULL;
	int n = scandir(dir, &names, NULL, alphasort), failed = 0, files = 0;

	for (int i = 0; i < n; i++) {
		CLEANUP(freep) char *path = xasprintf("%s/%s", dir,
						      names[i]->d_name);

		if (names[i]->d_name[0] != '.') {
			failed |= run_file(path);
			files++;
		}
		free(names[i]);
	}
	free(names);
	if (files == 0) {
		fprintf(stderr, "%s: no corpus\n", dir);
		return 1;
	}
	printf("%d files\n", files);
	return failed;
}
