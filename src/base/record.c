/*
 * record - what each long-lived descriptor is, in a memfd; see record.h.
 *
 * The memfd holds a header, the slots, the records, the texts and the
 * buffers, each at an offset that the header tells. It is as large as it may
 * ever get: pages that nobody touched cost nothing. Private memory holds only
 * what can be made again from it (the lists of what is free).
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/record_private.h"

struct record_state record_st;

/* Killed while it closed: that is finished, and none of its descriptors is
 * taken for one that was on its way. */
static void finish_end(struct record *r)
{
	for (int k = 0; k < RECORD_FDS; k++)
		if (r->fd[k] >= RECORD_LOW)
			close(r->fd[k]);
	r->serial = 0;
	atomic_store(&r->used, 0);
}

/* A library's are not its to close. */
static void disown(struct record *r)
{
	for (int k = 0; k < RECORD_FDS; k++)
		if (r->fd[k] >= RECORD_LOW && fcntl(r->fd[k], F_GETFD) != 0)
			r->fd[k] = -1;
}

static void free_lists(void)
{
	record_st.free = xmalloc(record_st.h->records *
				 sizeof(*record_st.free));
	record_st.bfree = xmalloc(record_st.h->buffers *
				  sizeof(*record_st.bfree));
	record_st.nfree = record_st.count = record_st.nbfree = 0;
	for (uint32_t i = record_st.h->high; i-- > 0;) {
		struct record *r = &record_all()[i];

		if (atomic_load(&r->used) == 1) {
			record_st.count++;
			continue;
		}
		if (atomic_load(&r->used) == 2) {
			disown(r);
			finish_end(r);
		}
		record_st.free[record_st.nfree++] = i;
	}
}

/* Nothing that the kernel hands out later may land on a role's number. */
static int plug_roles(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int r = 0;

	if (null < 0)
		return -errno;
	for (int fd = ROLE_STATE; fd < RECORD_LOW && r >= 0; fd++)
		if (fcntl(fd, F_GETFD) < 0 && dup2(null, fd) < 0)
			r = -errno;
	if (null >= RECORD_LOW)
		close(null);
	else if (fcntl(null, F_SETFD, 0) < 0)
		r = -errno;
	return r;
}

int record_role(int fd, enum record_role role)
{
	int r = 0;

	if (fd == (int)role)
		return fcntl(fd, F_SETFD, 0) < 0 ? -errno : 0;
	if (dup2(fd, role) < 0)
		r = -errno;
	close(fd);
	return r;
}

static int map_state(uint64_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_NORESERVE, ROLE_STATE, 0);

	if (p == MAP_FAILED)
		return -errno;
	record_st.base = p;
	record_st.h = p;
	return 0;
}

int record_open(uint32_t max, uint32_t slots)
{
	struct header h;
	int fd, r;

	r = plug_roles();
	if (r < 0)
		return r;
	record_layout(&h, max, slots);
	fd = memfd_create("usher-state", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)h.size) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	r = record_role(fd, ROLE_STATE);
	if (r < 0)
		return r;
	r = map_state(h.size);
	if (r < 0)
		return r;
	*record_st.h = h;
	record_globals()->level = record_st.level = LEVEL(STATE_VERSION);
	free_lists();
	record_slots_begin();
	return 0;
}

int record_adopt(const char **why)
{
	struct stat sb;
	int r;

	*why = "it can't be mapped";
	if (fstat(ROLE_STATE, &sb) < 0)
		return -errno;
	if (sb.st_size < HEADER_ROOM)
		return *why = "it is too short", -EINVAL;
	r = map_state((uint64_t)sb.st_size);
	if (r < 0)
		return r;
	*why = record_check(record_st.base, (size_t)sb.st_size);
	if (*why) {
		munmap(record_st.base, (size_t)sb.st_size);
		record_st.h = NULL;
		return -EINVAL;
	}
	free_lists();
	record_slots_begin();
	record_st.claimable = record_st.h->buffers_high;
	record_st.found = record_st.h->serial;
	record_st.clean = record_st.h->globals.clean;
	record_st.level = (unsigned)record_st.h->globals.level;
	record_st.btaken = xcalloc(record_st.claimable + 1,
				   sizeof(*record_st.btaken));
	return plug_roles();
}

void record_settle(void)
{
	memset(record_st.base + sizeof(struct header), 0,
	       HEADER_ROOM - sizeof(struct header));
	for (int i = -1; (i = record_next(RECORD_NONE, i)) >= 0;)
		if (record_at(i)->kind >= RECORD_KINDS)
			record_close(i);
	record_globals()->level = LEVEL(STATE_VERSION);
}

unsigned record_level(void)
{
	return record_st.level;
}

bool record_was_clean(void)
{
	return record_st.clean;
}

/* Is number FD what a record may have? */
static bool ownable(const struct record *r, int fd)
{
	int flags;

	if (fd < RECORD_LOW)
		return r->kind == RECORD_WATCH && fd >= ROLE_STATE;
	flags = fcntl(fd, F_GETFD);
	return flags >= 0 && !(flags & FD_CLOEXEC);
}

static bool newer(int a, int b)
{
	return (int32_t)(record_at(a)->serial - record_at(b)->serial) > 0;
}

static void disown_fd(int index, int fd)
{
	for (int k = 0; k < RECORD_FDS; k++)
		if (record_at(index)->fd[k] == fd)
			record_at(index)->fd[k] = -1;
}

static int highest_fd(void)
{
	int top = -1;

	for (int i = -1; (i = record_next(RECORD_NONE, i)) >= 0;)
		for (int k = 0; k < RECORD_FDS; k++)
			if (record_at(i)->fd[k] > top)
				top = record_at(i)->fd[k];
	return top;
}

void record_own(void)
{
	/* By descriptor: one more than the index of who has it. */
	CLEANUP(freep) int *owner = xcalloc((size_t)highest_fd() + 2,
					    sizeof(*owner));

	for (int i = -1; (i = record_next(RECORD_NONE, i)) >= 0;)
		for (int k = 0; k < RECORD_FDS; k++) {
			int fd = record_at(i)->fd[k];

			if (fd < 0)
				continue;
			if (!ownable(record_at(i), fd) ||
			    (owner[fd] && owner[fd] != i + 1 &&
			     newer(owner[fd] - 1, i))) {
				record_at(i)->fd[k] = -1;
				continue;
			}
			if (owner[fd])
				disown_fd(owner[fd] - 1, fd);
			record_at(i)->fd[k] = fd;
			owner[fd] = i + 1;
		}
}

#define COPY_PIECE (64 * 1024)

static int copy_range(int fd, uint64_t at, uint64_t len)
{
	while (len > 0) {
		ssize_t n = pwrite(fd, record_st.base + at, len, (off_t)at);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		at += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

int record_copy_begin(void)
{
	int fd = memfd_create("usher-rehearsal", MFD_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = ftruncate(fd, (off_t)record_st.h->size) < 0 ? -errno : 0;
	if (r < 0)
		close(fd);
	return r < 0 ? r : fd;
}

/* The header comes last, with the texts that it points to: each record is
 * whole by itself. What nobody wrote to is a hole, there too. */
int record_copy_more(int fd, uint64_t *at)
{
	const struct header *h = record_st.h;
	uint64_t end = h->records_at + h->high * sizeof(struct record);
	off_t data = *at < end ? lseek(ROLE_STATE, (off_t)*at, SEEK_DATA) : -1;
	int r;

	if (data >= 0 && (uint64_t)data < end) {
		uint64_t n = end - (uint64_t)data;

		n = n < COPY_PIECE ? n : COPY_PIECE;
		*at = (uint64_t)data + n;
		r = copy_range(fd, (uint64_t)data, n);
		return r < 0 ? r : 1;
	}
	r = copy_range(fd, 0, HEADER_ROOM);
	return r < 0 ? r : copy_range(fd, h->texts_at, h->text_used);
}

bool record_step_back(int fd)
{
	struct header *h = mmap(NULL, HEADER_ROOM, PROT_READ | PROT_WRITE,
				MAP_SHARED, fd, 0);
	bool was = false;

	if (h == MAP_FAILED)
		return false;
	if (h->magic == STATE_MAGIC &&
	    ERA(h->version) == ERA(STATE_VERSION) && h->globals.phase) {
		was = true;
		h->globals.phase = 0;
		h->globals.image = !h->globals.image;
		h->globals.backs++;
		h->globals.result = -ECHILD;
	}
	munmap(h, HEADER_ROOM);
	return was;
}

void record_shutdown(void)
{
	if (!record_st.h)
		return;
	munmap(record_st.base, record_st.h->size);
	close(ROLE_STATE);
	free(record_st.free);
	free(record_st.bfree);
	free(record_st.btaken);
	free(record_st.chains);
	free(record_st.chained);
	memset(&record_st, 0, sizeof(record_st));
}

struct record_globals *record_globals(void)
{
	return record_st.h ? &record_st.h->globals : NULL;
}

int record_new(enum record_kind kind, uint32_t service, uint32_t arg)
{
	struct record *r;
	uint32_t i;

	if (record_st.nfree)
		i = record_st.free[--record_st.nfree];
	else if (record_st.h->high < record_st.h->records)
		i = record_st.h->high++;
	else
		return -ENFILE;
	r = &record_all()[i];
	memset(r, 0, sizeof(*r));
	r->magic = RECORD_MAGIC;
	r->len = sizeof(*r);
	r->version = STATE_VERSION;
	r->kind = kind;
	r->service = service;
	r->arg = arg;
	if (++record_st.h->serial == 0)	/* 0 is the loop's own */
		++record_st.h->serial;
	r->serial = record_st.h->serial;
	for (int k = 0; k < RECORD_FDS; k++)
		r->fd[k] = -1;
	record_st.count++;
	return (int)i;
}

void record_commit(int index)
{
	struct record *r = record_at(index);

	r->sum = record_sum(r);
	FAULT("record-filled");
	atomic_store(&r->used, 1);
	FAULT("record-committed");
}

void record_move(int index, uint32_t service)
{
	struct record *r = record_at(index);
	struct record to = *r;

	to.service = service;
	to.sum = record_sum(&to);
	atomic_store(&r->whose, to.whose);
}

struct record *record_at(int index)
{
	return &record_all()[index];
}

void record_set_fd(int index, int slot, int fd)
{
	if (fd >= 0)
		fcntl(fd, F_SETFD, 0);
	record_at(index)->fd[slot] = fd;
}

static void end(int index, bool closing)
{
	struct record *r;

	if (index < 0)
		return;
	r = record_at(index);
	if (closing) {
		atomic_store(&r->used, 2);
		FAULT("record-ending");
		finish_end(r);
	}
	r->serial = 0;		/* events in the batch are stale from now on */
	atomic_store(&r->used, 0);
	record_st.free[record_st.nfree++] = (uint32_t)index;
	record_st.count--;
}

void record_close(int index)
{
	end(index, true);
}

void record_forget(int index)
{
	end(index, false);
}

int record_next(enum record_kind kind, int from)
{
	for (uint32_t i = (uint32_t)(from + 1); i < record_st.h->high; i++)
		if (atomic_load(&record_all()[i].used) == 1 &&
		    (kind == RECORD_NONE || record_all()[i].kind == kind))
			return (int)i;
	return -1;
}

bool record_is_old(int index)
{
	return record_st.found &&
	       (int32_t)(record_at(index)->serial - record_st.found) <= 0;
}

uint32_t record_count(void)
{
	return record_st.count;
}

uint32_t record_max(void)
{
	return record_st.h->records;
}
