/*
 * fuzz_proxy - any bytes where a PROXY header should be.
 *
 * Given whole and as a socket gives them, never more than was wanted: both
 * say the same, nothing beyond the header is wanted, and what has addresses
 * can be said again in version 2 and means the same.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fuzz.h"
#include "inlet/proxy.h"

/* In a buffer of exactly that size, for the sanitizer. */
static int parse(const uint8_t *data, size_t len, struct proxy_header *h,
		 size_t *want)
{
	unsigned char *copy = xmalloc(len ? len : 1);
	int r;

	memcpy(copy, data, len);
	r = proxy_parse(copy, len, h, want);
	free(copy);
	return r;
}

static int in_parts(const uint8_t *data, size_t len, struct proxy_header *h)
{
	size_t have = 0, want = 0;
	int r;

	while ((r = parse(data, have, h, &want)) == 0) {
		if (want == 0)
			abort();
		if (have + want > len)
			return 0;
		have += want;
	}
	if (r > 0 && (size_t)r != have)
		abort();	/* a byte of the program's was wanted */
	return r;
}

static void again(const struct proxy_header *h)
{
	unsigned char buf[PROXY_MAX];
	struct proxy_header back;
	size_t want, n;

	n = proxy_format(PROXY_V2, &h->source, &h->destination, buf);
	if (n > sizeof(buf) || parse(buf, n, &back, &want) != (int)n ||
	    !back.addresses ||
	    memcmp(&back.source.u, &h->source.u, h->source.len) != 0)
		abort();
	n = proxy_format(PROXY_V1, &h->source, &h->destination, buf);
	if (n > sizeof(buf) || parse(buf, n, &back, &want) != (int)n)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct proxy_header whole = { 0 }, parts = { 0 };
	size_t want = 0;
	int r = parse(data, len, &whole, &want);
	int s = in_parts(data, len, &parts);

	if (r > 0 && (s != r || whole.addresses != parts.addresses))
		abort();
	if (r < 0 && s > 0)
		abort();
	if (r == 0 && want == 0)
		abort();
	if (r > 0 && whole.addresses)
		again(&whole);
	return 0;
}
