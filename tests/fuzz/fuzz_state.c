/*
 * fuzz_state - any state that another usher may have left.
 *
 * The input says what stands in the memfd: records with any numbers in them,
 * in any order, changes to what was summed and to what was not, and where the
 * file ends. It is loaded or refused. Then a model is built and every record
 * hung in, some turns of the loop pass, and all is closed again. A descriptor
 * that is no record's to have must be as it was.
 *
 * The first byte's bit 0 says that nothing was in flight. Operations follow,
 * see ops[]: a byte which one, then what it takes; numbers of descriptors are
 * chosen by a byte, see number_of().
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "action/action.h"
#include "base/offload.h"
#include "base/record_private.h"
#include "continuity/begin.h"
#include "continuity/revive.h"
#include "control/control.h"
#include "fuzz.h"
#include "inlet/arrival.h"
#include "trigger/trigger.h"
#include "work/output.h"

#define RECORDS	48
#define SLOTS	16
#define OWN	40	/* from here on: what records may name */
#define NOWN	16
#define ALIEN	80	/* and what they may not: close-on-exec */
#define NALIEN	4
#define TURNS	3

static struct usher u;
static char dir[] = "/tmp/usher-fuzz-XXXXXX";
static struct conf *conf;
static char *kept;		/* it, as the state has it */
static size_t kept_len;

static const char *const names[] = {
	"relay", "echo", "discard", "pass", "reports", "spawn", "job",
};

/* What the input has left to say. */
struct input {
	const uint8_t *p;
	size_t n;
};

static void check(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "fuzz_state: %s\n", what);
	abort();
}

static uint8_t byte(struct input *in)
{
	if (in->n == 0)
		return 0;
	in->n--;
	return *in->p++;
}

static size_t bytes(struct input *in, void *to, size_t room)
{
	size_t n = byte(in);

	if (n > in->n)
		n = in->n;
	if (n > room)
		n = room;
	memcpy(to, in->p, n);
	in->p += n;
	in->n -= n;
	return n;
}

/* ---- descriptors ---- */

static void put(int fd, int at)
{
	check(fd >= 0 && dup3(fd, at, 0) == at, "descriptor");
	close(fd);
}

/* One of each kind that records have. */
static void open_own(void)
{
	int pair[2], n = OWN;

	for (int i = 0; i < 2; i++) {
		check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
				 pair) == 0, "pair");
		put(pair[0], n++);
		put(pair[1], n++);
	}
	check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0,
			 pair) == 0, "pair");
	put(pair[0], n++);
	put(pair[1], n++);
	check(pipe2(pair, O_NONBLOCK) == 0, "pipe");
	put(pair[0], n++);
	put(pair[1], n++);
	put(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), n++);
	put(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), n++);
	put(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), n);
	listen(n++, 4);
	put(eventfd(0, EFD_NONBLOCK), n++);
	put(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), n++);
	put(memfd_create("sources", 0), n++);
	put(open("/dev/null", O_RDWR), n++);
	put(open(dir, O_RDONLY), n++);
	check(n == OWN + NOWN, "how many");
}

/* Who says that nothing was in flight is our own image, and is believed. */
static int number_of(uint8_t b)
{
	if (record_globals()->clean && (b == 0 || b > NOWN))
		return -1;
	if (b >= 1 && b <= NOWN)
		return OWN + b - 1;
	if (b >= 32 && b < 32 + RECORD_LOW)
		return b - 32;
	if (b >= 64 && b < 64 + NALIEN)
		return ALIEN + b - 64;
	switch (b) {
	case 250:
		return INT32_MAX;
	case 251:
		return INT32_MIN;
	case 252:
		return (1 << 22) - 1;
	case 253:
		return 1 << 20;
	case 254:
		return 700;	/* open nowhere */
	default:
		return -1;
	}
}

struct seen {
	ino_t inode;
	int flags;
};

/* Of what no record may have: 0 to 2 and those of libraries. */
static void look(struct seen *s)
{
	for (int i = 0; i < 3 + NALIEN; i++) {
		int fd = i < 3 ? i : ALIEN + i - 3;
		struct stat sb = { 0 };

		check(fstat(fd, &sb) == 0, "a descriptor of others is gone");
		s[i].inode = sb.st_ino;
		s[i].flags = fcntl(fd, F_GETFD) | fcntl(fd, F_GETFL) << 1;
	}
}

/* ---- the state ---- */

static char header[sizeof(struct header)], changed[sizeof(struct header)];

static void op_record(struct input *in)
{
	struct header *h = record_st.h;
	struct record *r;

	if (h->high == h->records)
		return;
	r = &record_all()[h->high++];
	*r = (struct record){ .magic = RECORD_MAGIC, .len = sizeof(*r),
			      .version = STATE_VERSION,
			      .kind = byte(in) % (RECORD_KINDS + 1),
			      .service = byte(in), .arg = byte(in) };
	if (r->service == 255)
		r->service = RECORD_NOBODY;
	r->serial = ++h->serial;
	for (int k = 0; k < RECORD_FDS; k++)
		r->fd[k] = number_of(byte(in));
	r->id = byte(in);
	bytes(in, r->data, sizeof(r->data));
	r->sum = record_sum(r);
	r->used = 1;
}

static struct record *last(void)
{
	return &record_all()[record_st.h->high ? (record_st.h->high - 1) %
			     record_st.h->records : 0];
}

/* Of the last record, summed again or not. */
static void op_change(struct input *in)
{
	size_t at = byte(in) % sizeof(struct record);

	bytes(in, (char *)last() + at, sizeof(struct record) - at);
}

static void op_sum(struct input *in)
{
	(void)in;
	last()->sum = record_sum(last());
}

/* Of a copy that comes into its place last. */
static void op_header(struct input *in)
{
	size_t at = (byte(in) << 8 | byte(in)) % sizeof(struct header);
	size_t n = bytes(in, header + at, sizeof(struct header) - at);

	memset(changed + at, 1, n);
}

static void op_slot(struct input *in)
{
	size_t room = SLOTS * sizeof(struct slot);
	size_t at = (byte(in) << 8 | byte(in)) % room;

	bytes(in, record_st.base + HEADER_ROOM + at, room - at);
}

static void op_buffer(struct input *in)
{
	int n = record_buffer_new();

	if (n >= 0)
		bytes(in, record_buffer(n), RECORD_BUFFER);
}

static void op_data(struct input *in)
{
	size_t at = byte(in) % RECORD_DATA;

	bytes(in, last()->data + at, RECORD_DATA - at);
}

static void (*const ops[])(struct input *in) = {
	op_record, op_change, op_sum, op_header, op_slot, op_buffer, op_data,
};

/* All that TEXT lets it be: where the memfd ends is last. */
static void make_state(struct input *in)
{
	bool clean = byte(in) & 1;
	size_t cut = 0;
	int fd;

	memset(changed, 0, sizeof(changed));
	check(record_open(RECORDS, SLOTS) == 0, "state");
	record_globals()->born = 1;
	record_globals()->clean = clean;
	check(record_text_set("configuration", kept, kept_len) == 0, "text");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		check(slot_find(names[i], true) >= 0, "slot");
	while (in->n) {
		uint8_t op = byte(in) % (ARRAY_SIZE(ops) + 1);

		if (op < ARRAY_SIZE(ops))
			ops[op](in);
		else
			cut = byte(in);
	}
	for (size_t i = 0; i < sizeof(header); i++)
		if (!changed[i])
			header[i] = record_st.base[i];
	fd = fcntl(ROLE_STATE, F_DUPFD_CLOEXEC, RECORD_LOW);
	record_shutdown();	/* by the size that was true */
	check(pwrite(fd, header, sizeof(header), 0) == sizeof(header),
	      "header");
	if (cut)
		check(ftruncate(fd, (off_t)(cut << 8)) == 0, "cut");
	record_role(fd, ROLE_STATE);
}

/* ---- the house ---- */

static void on_room(struct service *s)
{
	arrival_room(s);
	if (s->triggers)
		trigger_room(s);
}

static void on_returned(struct service *s, const char *message, size_t len)
{
	trigger_return(s, message, len);
}

static void stop(void *arg)
{
	loop_stop(arg);
}

static void turns(void)
{
	for (int i = 0; i < TURNS; i++) {
		struct timer t = { 0 };

		timer_set(u.loop, &t, 0, stop, u.loop);
		loop_run(u.loop);
	}
}

static void open_house(void)
{
	check(loop_open(&u.loop, false) == 0, "loop");
	TAILQ_INIT(&u.services);
	TAILQ_INIT(&u.gone);
	TAILQ_INIT(&u.leaving);
	u.by_slot = xcalloc(slot_max(), sizeof(struct service *));
	u.on_room = on_room;
	u.on_gone = action_gone;
	u.on_returned = on_returned;
}

static void close_house(void)
{
	action_abandon(&u);
	output_close_all(&u);
	control_close(&u);
	loop_close(&u.loop);
	free(TAKE(u.by_slot));
	conf_unref(&u.conf);
	free(TAKE(u.notice));
}

static void settled(void *arg)
{
	(void)arg;
}

/* As the daemon does with what it took over. */
static void go_on(struct conf *c)
{
	struct revived told;

	open_house();
	if (action_revive(&u, c) == 0 && control_begin(&u) == 0) {
		revive_records(&u, control_adopt, &told);
		record_globals()->clean = 0;
		action_resume_all(&u);
		revive_strays(&u, &told);
		revive_later(settled, NULL);
		turns();
		revive_rest();
	}
	close_house();
}

static void clear_away(void)
{
	CLEANUP(freep) char *line = xasprintf("rm -rf %s", dir);

	if (system(line))
		perror(dir);
	free(kept);
	conf_unref(&conf);
}

/* What a service of each kind makes of records; nothing of it starts a
 * program before somebody comes. No FIFO: closing an inotify waits for the
 * kernel, many milliseconds each time. */
static void begin(void)
{
	static char text[2048];
	struct conf_source source = { .path = "f", .text = text };
	struct conf_report report = { 0 };

	check(mkdtemp(dir) != NULL, "directory");
	snprintf(text, sizeof(text),
		 "[usher]\ncontrol = unix:%1$s/c\nkeeper = no\n"
		 "spool = %1$s\n"
		 "[service relay]\nlisten = unix:%1$s/r\n"
		 "relay = unix:%1$s/none\n"
		 "[service echo]\nlisten = unix:%1$s/e\nbuiltin = echo\n"
		 "[service discard]\nlisten = unix:%1$s/d\n"
		 "builtin = discard\n"
		 "[service pass]\nlisten = unix:%1$s/p\nhandoff = pass\n"
		 "workers = 0-1\nexec = /bin/true\n"
		 "[service reports]\nlisten = unix:%1$s/q\nhandoff = pass\n"
		 "reports = yes\nworkers = 0-1\nexec = /bin/true\n"
		 "[service spawn]\nlisten = unix:%1$s/s\nexec = /bin/true\n"
		 "[service job]\ntrigger = unix:%1$s/j\n"
		 "exec = /bin/true\n", dir);
	source.len = strlen(text);
	check(conf_load(&source, &conf, &report) == 0,
	      report.errors.n ? report.errors.v[0] : "configuration");
	conf_report_free(&report);
	kept = conf_dump(conf, &kept_len);
	log_set_level(LOG_LEVEL_ERROR);
	for (int i = 0; i < NALIEN; i++)
		check(fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, ALIEN + i) ==
		      ALIEN + i, "alien");
	atexit(clear_away);
}

static void close_own(void)
{
	for (int fd = 3; fd < ALIEN; fd++)
		close(fd);
	close_range(ALIEN + NALIEN, ~0u, 0);
	while (waitpid(-1, NULL, 0) > 0)
		;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct seen before[3 + NALIEN], after[3 + NALIEN];
	struct conf_report report = { 0 };
	const char *why = NULL;
	struct conf *c = NULL;

	if (!kept)
		begin();
	if (size > 4096)
		return 0;
	make_state(&in);
	open_own();
	look(before);
	if (record_adopt(&why) == 0) {
		if (begin_recall(&c, &report) == 0)
			go_on(c);
		conf_report_free(&report);
		conf_unref(&c);
		record_shutdown();
	} else {
		check(why != NULL, "refused without a word");
	}
	look(after);
	for (int i = 0; i < 3 + NALIEN; i++)
		check(before[i].inode == after[i].inode &&
		      before[i].flags == after[i].flags,
		      i < 3 ? "one of 0 to 2 is another one"
			    : "a descriptor of others is another one");
	close_own();
	return 0;
}
