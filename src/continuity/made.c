/*
 * made - what a rehearsal made of the configuration; see made.h.
 */
#include "continuity/made.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/record.h"
#include "conf/pack.h"

/* Of a size that stays: to read past the end would be SIGBUS. */
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW)

/* At the end of the memfd: whose it is. */
struct tail {
	uint32_t image;		/* 0 or 1, as in the globals */
	uint32_t generation;	/* of the image that asked for the rehearsal */
};

int made_open(void)
{
	int fd = memfd_create("usher-made", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	return fd < 0 ? -errno : record_role(fd, ROLE_MADE);
}

static bool write_all(const void *data, size_t len, size_t at)
{
	while (len > 0) {
		ssize_t n = pwrite(ROLE_MADE, data, len, (off_t)at);

		if (n <= 0)
			return false;
		data = (const char *)data + n;
		at += (size_t)n;
		len -= (size_t)n;
	}
	return true;
}

void made_fill(const struct conf *c)
{
	const struct record_globals *g = record_globals();
	struct tail t = { !g->image, g->generation };
	CLEANUP(freep) void *block = NULL;
	size_t len;

	if (fcntl(ROLE_MADE, F_GET_SEALS) != 0)
		return;
	block = conf_pack(c, &len);
	if (write_all(block, len, 0) && write_all(&t, sizeof(t), len))
		fcntl(ROLE_MADE, F_ADD_SEALS, SEALS);
}

/* Made for the image that runs? */
static bool is_mine(size_t *len)
{
	const struct record_globals *g = record_globals();
	struct stat sb;
	struct tail t;

	if (fstat(ROLE_MADE, &sb) < 0 || (size_t)sb.st_size < sizeof(t))
		return false;
	*len = (size_t)sb.st_size - sizeof(t);
	return pread(ROLE_MADE, &t, sizeof(t), (off_t)*len) == sizeof(t) &&
	       t.image == g->image && t.generation + 1 == g->generation;
}

/* Nobody else has it: its pages need no copies. */
static struct conf *map(size_t len)
{
	void *block = mmap(NULL, len, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_POPULATE, ROLE_MADE, 0);
	struct conf *c;

	if (block == MAP_FAILED)
		return NULL;
	c = conf_unpack(block, len);
	if (!c)
		munmap(block, len);
	return c;
}

/* The file may have been loaded anew since the rehearsal. */
static bool is_of(const struct conf *c, const char *text, size_t len)
{
	size_t have;
	CLEANUP(freep) char *dump = conf_dump(c, &have);

	return have == len && memcmp(dump, text, len) == 0;
}

struct conf *made_take(const char *text, size_t len)
{
	struct conf *c = NULL;
	size_t have;

	/* Not sealed: torn, or to be filled by us, the rehearsal. */
	if (fcntl(ROLE_MADE, F_GET_SEALS) != SEALS)
		return NULL;
	if (is_mine(&have))
		c = map(have);
	made_drop();
	if (c && !is_of(c, text, len))
		conf_unref(&c);
	return c;
}

void made_drop(void)
{
	dup2(ROLE_NULL, ROLE_MADE);
}
