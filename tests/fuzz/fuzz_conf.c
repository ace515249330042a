/*
 * fuzz_conf - any bytes as a configuration.
 *
 * What is taken prints as text that is taken again and prints the same; what
 * is refused has a mistake to show. Nothing outside is read: no include.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "fuzz.h"

static char *print(const struct conf *c)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		abort();
	conf_print(c, NULL, false, f);
	fclose(f);
	return text;
}

static struct conf *load(const char *text, size_t len)
{
	struct conf_source source = { .path = "f", .text = text, .len = len };
	struct conf_report report = { 0 };
	struct conf *c = NULL;
	int r = conf_load(&source, &c, &report);

	if ((r == 0) != (c != NULL) || (r != 0 && report.errors.n == 0))
		abort();
	conf_report_free(&report);
	return c;
}

/* TEXT is taken, and prints as EXPECT. */
static void same(const char *text, size_t len, const char *expect)
{
	struct conf *c = load(text, len);
	CLEANUP(freep) char *got = c ? print(c) : NULL;

	if (!got || strcmp(got, expect) != 0) {
		fprintf(stderr, "%s\n---\n%s\n", expect, got ? got : "-");
		abort();
	}
	conf_unref(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(freep) char *once = NULL;
	CLEANUP(freep) char *dump = NULL;
	struct conf *c;
	size_t len;

	if (memmem(data, size, "include", 7))
		return 0;
	c = load((const char *)data, size);
	if (!c)
		return 0;
	once = print(c);
	dump = conf_dump(c, &len);
	conf_unref(&c);

	same(dump, len, once);
	/* A kept one may name what is not there, and then what it prints
	 * does so too. */
	if (!memmem(data, size, "#usher", 6))
		same(once, strlen(once), once);
	return 0;
}
