/*
 * A server that answers a binary structure of fixed size with another one.
 *
 *	cc -o binary-server binary-server.c
 *
 *	[service depth]
 *	listen = unix:/run/depth mode=0660
 *	exec = /usr/local/sbin/binary-server
 *
 * One process a connection (handoff = spawn): the client is descriptor 0 and
 * 1, as under inetd. It may ask any number of times; a structure that is torn
 * or that is none gets no answer and ends the conversation.
 */
#include <endian.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

/* In network order, without holes: the same on every machine. */
struct request {
	uint32_t magic;
	uint32_t id;
	uint64_t value;
};

struct answer {
	uint32_t magic;
	uint32_t id;		/* the request's */
	uint64_t square;
};

_Static_assert(sizeof(struct request) == 16, "no holes");
_Static_assert(sizeof(struct answer) == 16, "no holes");

#define MAGIC 0x55534852u	/* USHR */

/* A stream gives what it likes, so read until all is there. 1, 0 at an end
 * between two structures, -1. */
static int read_all(void *buf, size_t len)
{
	char *p = buf;
	size_t have = 0;

	while (have < len) {
		ssize_t n = read(0, p + have, len - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 && have == 0 ? 0 : -1;
		have += (size_t)n;
	}
	return 1;
}

static int write_all(const void *buf, size_t len)
{
	const char *p = buf;

	while (len > 0) {
		ssize_t n = write(1, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int main(void)
{
	struct request q;
	struct answer a;
	int r;

	while ((r = read_all(&q, sizeof(q))) == 1) {
		uint64_t value = be64toh(q.value);

		if (be32toh(q.magic) != MAGIC)
			return 1;
		a.magic = q.magic;
		a.id = q.id;
		a.square = htobe64(value * value);
		if (write_all(&a, sizeof(a)) < 0)
			return 1;
	}
	return r == 0 ? 0 : 1;
}
