/*
 * record - what each long-lived descriptor is, in a memfd; see record.h.
 *
 * The memfd holds a header, the slots, the records, the texts and the
 * buffers, each at an offset that the header tells. It is as large as it may
 * ever get: pages that nobody touched cost nothing. Private memory holds only
 * what can be made again from it (the lists of what is free).
 */
#include "base/record.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"

#define STATE_MAGIC   0x3172656873755500ull	/* "\0Uusher1" */
#define STATE_VERSION 1
#define RECORD_MAGIC  0x5245
#define RECORD_VERSION 1
#define TEXTS         16
#define TEXT_AREA     (256u << 20)
#define BUFFERS_MAX   65536u

/* Two places for each text: the one that holds, the other to write next. */
struct text {
	char name[32];
	_Atomic uint32_t which;
	uint32_t pad;
	struct {
		uint64_t offset, room, len;
	} at[2];
};

struct header {
	uint64_t magic;
	uint32_t version, header_len, record_len, slot_len;
	uint32_t records, slots, buffers, buffer_len;
	uint64_t slots_at, records_at, texts_at, texts_len, buffers_at, size;
	uint32_t sum;			/* of all above */
	/* What follows changes. */
	uint32_t high;			/* records ever used */
	uint32_t serial;
	uint64_t text_used;
	uint32_t buffers_high;		/* buffers ever used */
	struct text texts[TEXTS];
	struct record_globals globals;
};

#define HEADER_ROOM 8192
_Static_assert(sizeof(struct header) <= HEADER_ROOM, "header");
_Static_assert(sizeof(struct record) == 208, "record");
_Static_assert(sizeof(struct slot) == 640, "slot");

/* The one state of a process. */
static struct {
	struct header *h;
	char *base;
	uint32_t *free;		/* records given back, last first */
	uint32_t nfree, count;
	uint32_t *bfree;	/* buffers given back */
	uint32_t nbfree;
	bool *btaken;		/* while taking over: of those below */
	uint32_t claimable;
	uint32_t found;		/* the last serial of another process, or 0 */
} st;

static uint32_t sum_words(const void *p, size_t bytes)
{
	uint64_t h = 0x9e3779b97f4a7c15ull;
	const unsigned char *b = p;
	uint32_t w;

	for (; bytes >= sizeof(w); b += sizeof(w), bytes -= sizeof(w)) {
		memcpy(&w, b, sizeof(w));
		h = (h ^ w) * 0xff51afd7ed558ccdull;
		h ^= h >> 32;
	}
	return (uint32_t)h;
}

/* magic..kind, then service, arg, serial: what lies around SUM. */
static uint32_t record_sum(const struct record *r)
{
	uint32_t words[5];

	memcpy(words, r, 8);
	words[2] = r->service;
	words[3] = r->arg;
	words[4] = r->serial;
	return sum_words(words, sizeof(words));
}

static struct record *records(void)
{
	return (struct record *)(void *)(st.base + st.h->records_at);
}

static uint64_t page_up(uint64_t n)
{
	return (n + 4095) & ~4095ull;
}

static void layout(struct header *h, uint32_t max, uint32_t slots)
{
	*h = (struct header){
		.magic = STATE_MAGIC,
		.version = STATE_VERSION,
		.header_len = sizeof(*h),
		.record_len = sizeof(struct record),
		.slot_len = sizeof(struct slot),
		.records = max,
		.slots = slots,
		.buffers = max < BUFFERS_MAX ? max : BUFFERS_MAX,
		.buffer_len = RECORD_BUFFER,
		.slots_at = HEADER_ROOM,
		.texts_len = TEXT_AREA,
	};
	h->records_at = page_up(h->slots_at + slots * sizeof(struct slot));
	h->texts_at = page_up(h->records_at +
			      (uint64_t)max * sizeof(struct record));
	h->buffers_at = h->texts_at + h->texts_len;
	h->size = h->buffers_at + (uint64_t)h->buffers * RECORD_BUFFER;
	h->sum = sum_words(h, offsetof(struct header, sum));
}

static void free_lists(void)
{
	st.free = xmalloc(st.h->records * sizeof(*st.free));
	st.bfree = xmalloc(st.h->buffers * sizeof(*st.bfree));
	st.nfree = st.count = st.nbfree = 0;
	for (uint32_t i = st.h->high; i-- > 0;) {
		if (atomic_load(&records()[i].used) == 1)
			st.count++;
		else
			st.free[st.nfree++] = i;
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
	st.base = p;
	st.h = p;
	return 0;
}

int record_open(uint32_t max, uint32_t slots)
{
	struct header h;
	int fd, r;

	r = plug_roles();
	if (r < 0)
		return r;
	layout(&h, max, slots);
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
	*st.h = h;
	free_lists();
	return 0;
}

static const char *check_header(const struct header *h, size_t size)
{
	struct header want;

	if (size < HEADER_ROOM || h->magic != STATE_MAGIC)
		return "it is no state of usher's";
	if (h->version != STATE_VERSION)
		return "its version is another one";
	if (h->sum != sum_words(h, offsetof(struct header, sum)))
		return "its header's checksum is wrong";
	if (h->records > 1u << 22 || h->slots > 1u << 20)
		return "its header is out of range";
	layout(&want, h->records, h->slots);
	if (memcmp(&want, h, offsetof(struct header, sum)) ||
	    h->size > size || h->high > h->records)
		return "its header is out of range";
	return NULL;
}

static const char *check_texts(const struct header *h)
{
	if (h->text_used > h->texts_len || h->buffers_high > h->buffers)
		return "a text is out of range";
	for (size_t i = 0; i < TEXTS; i++) {
		const struct text *t = &h->texts[i];
		uint32_t w = atomic_load(&t->which);

		if (!memchr(t->name, 0, sizeof(t->name)) || w > 1 ||
		    t->at[w].len > t->at[w].room ||
		    t->at[w].room > h->texts_len ||
		    t->at[w].offset > h->texts_len - t->at[w].room)
			return "a text is out of range";
	}
	return NULL;
}

const char *record_check(const void *state, size_t size)
{
	const struct header *h = state;
	const char *why = check_header(h, size);
	const struct record *r;

	if (!why)
		why = check_texts(h);
	if (why)
		return why;
	for (uint32_t i = 0; i < h->slots; i++) {
		const struct slot *s = (const void *)((const char *)state +
						      h->slots_at);

		if (!memchr(s[i].name, 0, SLOT_NAME))
			return "a slot's name has no end";
	}
	r = (const void *)((const char *)state + h->records_at);
	for (uint32_t i = 0; i < h->high; i++, r++) {
		if (atomic_load(&r->used) != 1)
			continue;
		if (r->magic != RECORD_MAGIC || r->len != sizeof(*r) ||
		    r->sum != record_sum(r))
			return "a record's checksum is wrong";
		for (int k = 0; k < RECORD_FDS; k++)
			if (r->fd[k] < -1 || r->fd[k] >= 1 << 22)
				return "a record's descriptor is out of range";
	}
	return NULL;
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
	*why = record_check(st.base, (size_t)sb.st_size);
	if (*why) {
		munmap(st.base, (size_t)sb.st_size);
		st.h = NULL;
		return -EINVAL;
	}
	free_lists();
	st.claimable = st.h->buffers_high;
	st.found = st.h->serial;
	st.btaken = xcalloc(st.claimable + 1, sizeof(*st.btaken));
	return plug_roles();
}

static int copy_range(int fd, uint64_t at, uint64_t len)
{
	while (len > 0) {
		ssize_t n = pwrite(fd, st.base + at, len, (off_t)at);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		at += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

int record_copy(void)
{
	const struct header *h = st.h;
	int fd = memfd_create("usher-rehearsal", MFD_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = ftruncate(fd, (off_t)h->size) < 0 ? -errno : 0;
	if (r == 0)
		r = copy_range(fd, 0, h->records_at +
			       h->high * sizeof(struct record));
	if (r == 0)
		r = copy_range(fd, h->texts_at, h->text_used);
	if (r < 0)
		close(fd);
	return r < 0 ? r : fd;
}

bool record_step_back(int fd)
{
	struct header *h = mmap(NULL, HEADER_ROOM, PROT_READ | PROT_WRITE,
				MAP_SHARED, fd, 0);
	bool was = false;

	if (h == MAP_FAILED)
		return false;
	if (h->magic == STATE_MAGIC && h->version == STATE_VERSION &&
	    h->globals.phase) {
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
	if (!st.h)
		return;
	munmap(st.base, st.h->size);
	close(ROLE_STATE);
	free(st.free);
	free(st.bfree);
	free(st.btaken);
	memset(&st, 0, sizeof(st));
}

struct record_globals *record_globals(void)
{
	return st.h ? &st.h->globals : NULL;
}

int record_new(enum record_kind kind, uint32_t service, uint32_t arg)
{
	struct record *r;
	uint32_t i;

	if (st.nfree)
		i = st.free[--st.nfree];
	else if (st.h->high < st.h->records)
		i = st.h->high++;
	else
		return -ENFILE;
	r = &records()[i];
	memset(r, 0, sizeof(*r));
	r->magic = RECORD_MAGIC;
	r->len = sizeof(*r);
	r->version = RECORD_VERSION;
	r->kind = kind;
	r->service = service;
	r->arg = arg;
	if (++st.h->serial == 0)	/* 0 is the loop's own */
		++st.h->serial;
	r->serial = st.h->serial;
	for (int k = 0; k < RECORD_FDS; k++)
		r->fd[k] = -1;
	st.count++;
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

struct record *record_at(int index)
{
	return &records()[index];
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
	atomic_store(&r->used, 2);
	FAULT("record-ending");
	for (int k = 0; closing && k < RECORD_FDS; k++)
		if (r->fd[k] >= RECORD_LOW)
			close(r->fd[k]);
	r->serial = 0;		/* events in the batch are stale from now on */
	atomic_store(&r->used, 0);
	st.free[st.nfree++] = (uint32_t)index;
	st.count--;
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
	for (uint32_t i = (uint32_t)(from + 1); i < st.h->high; i++)
		if (atomic_load(&records()[i].used) == 1 &&
		    (kind == RECORD_NONE || records()[i].kind == kind))
			return (int)i;
	return -1;
}

bool record_is_old(int index)
{
	return st.found && (int32_t)(record_at(index)->serial - st.found) <= 0;
}

uint32_t record_count(void)
{
	return st.count;
}

uint32_t record_max(void)
{
	return st.h->records;
}

/* ---- slots ---- */

struct slot *slot_at(uint32_t index)
{
	struct slot *s = (void *)(st.base + st.h->slots_at);

	return &s[index];
}

uint32_t slot_max(void)
{
	return st.h->slots;
}

/* Open addressing by the name's hash; an ended slot leaves a hole that a
 * search must pass, so it looks at the whole run up to a slot never used. */
int slot_find(const char *name, bool make)
{
	uint32_t h = 2166136261u, hole = UINT32_MAX;

	for (const char *p = name; *p; p++)
		h = (h ^ (unsigned char)*p) * 16777619u;
	for (uint32_t n = 0; n < st.h->slots; n++) {
		uint32_t i = (h + n) % st.h->slots;
		struct slot *s = slot_at(i);

		if (strncmp(s->name, name, SLOT_NAME) == 0)
			return (int)i;
		if (s->name[0])
			continue;
		if (hole == UINT32_MAX)
			hole = i;
		if (!s->name[1])	/* never used: the run ends here */
			break;
	}
	if (!make)
		return -ENOENT;
	if (hole == UINT32_MAX)
		return -ENOSPC;
	memset(slot_at(hole), 0, sizeof(struct slot));
	strncpy(slot_at(hole)->name, name, SLOT_NAME - 1);
	return (int)hole;
}

void slot_end(uint32_t index)
{
	struct slot *s = slot_at(index);

	memset(s, 0, sizeof(*s));
	s->name[1] = 1;		/* once used */
}

/* ---- texts ---- */

static struct text *text_find(const char *name, bool make)
{
	struct text *hole = NULL;

	for (size_t i = 0; i < TEXTS; i++) {
		struct text *t = &st.h->texts[i];

		if (strncmp(t->name, name, sizeof(t->name)) == 0)
			return t;
		if (!t->name[0] && !hole)
			hole = t;
	}
	if (make && hole)
		strncpy(hole->name, name, sizeof(hole->name) - 1);
	return make ? hole : NULL;
}

int record_text_set(const char *name, const char *text, size_t len)
{
	struct text *t = text_find(name, text != NULL);
	uint32_t w;

	if (!t)
		return text ? -ENOSPC : 0;
	w = !atomic_load(&t->which);
	if (len + 1 > t->at[w].room) {
		uint64_t room = 4096;

		/* Doubled, so what is left behind stays below what is used. */
		while (text && room < len + 1)
			room *= 2;
		if (room > st.h->texts_len - st.h->text_used)
			return -ENOSPC;
		t->at[w].offset = st.h->text_used;
		t->at[w].room = room;
		st.h->text_used += room;
	}
	if (text) {
		char *p = st.base + st.h->texts_at + t->at[w].offset;

		memcpy(p, text, len);
		p[len] = 0;
	}
	t->at[w].len = text ? len : 0;
	atomic_store(&t->which, w);
	return 0;
}

const char *record_text(const char *name, size_t *len)
{
	struct text *t = text_find(name, false);
	uint32_t w;

	if (!t)
		return NULL;
	w = atomic_load(&t->which);
	if (len)
		*len = t->at[w].len;
	if (!t->at[w].len)
		return NULL;
	return st.base + st.h->texts_at + t->at[w].offset;
}

/* ---- buffers ---- */

int record_buffer_new(void)
{
	if (st.nbfree)
		return (int)st.bfree[--st.nbfree];
	if (st.h->buffers_high == st.h->buffers)
		return -ENOBUFS;
	return (int)st.h->buffers_high++;
}

void record_buffer_end(int number)
{
	st.bfree[st.nbfree++] = (uint32_t)number;
}

char *record_buffer(int number)
{
	return st.base + st.h->buffers_at + (size_t)number * RECORD_BUFFER;
}

int record_buffer_claim(int number)
{
	if (number < 0 || (uint32_t)number >= st.claimable || !st.btaken ||
	    st.btaken[number])
		return -EINVAL;
	st.btaken[number] = true;
	return 0;
}

/* Last first, so that the lowest are used next. What was given back in the
 * meantime is on the list already. */
void record_buffers_claimed(void)
{
	uint32_t back = st.nbfree;

	for (uint32_t i = 0; i < back; i++)
		if (st.bfree[i] < st.claimable)
			st.btaken[st.bfree[i]] = true;
	for (uint32_t n = st.claimable; n-- > 0;)
		if (!st.btaken[n])
			st.bfree[st.nbfree++] = n;
	free(TAKE(st.btaken));
	st.claimable = 0;
}
