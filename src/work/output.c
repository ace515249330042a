/*
 * output - workers' lines to the log; see output.h.
 *
 * All that a stream needs lies in its record and in a buffer of the state, so
 * half a line outlives us and a take-over has nothing to mend. The buffer is
 * taken with the first byte: a worker that says nothing costs a pipe.
 *
 * A worker's children may hold its pipe after it has ended, and its service
 * may be gone by then, so a stream knows its service by slot and name only.
 */
#include "work/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"

/* One callback reads so much at most, then others have their turn. */
#define READ_ONCE  16384
/* What a dead worker may have left: a pipe full and what its kin add. */
#define READ_LAST  (4 * 65536)
#define LAST_LINE  512
/* That lines were dropped is told so often. */
#define TELL_MS    60000

/* A buffer of the state: the last whole line, then the one being read. */
struct lines {
	char last[LAST_LINE];		/* ends in NUL */
	char line[OUTPUT_LINE + 1];
};
_Static_assert(sizeof(struct lines) <= RECORD_BUFFER, "lines");

/* RECORD_OUTPUT's data; its id is the worker's pid. */
struct output_data {
	char service[SLOT_NAME];
	int32_t buffer;			/* -1: none */
	uint32_t len;			/* of the line being read */
	int64_t filled;			/* ms: when TOKENS was right */
	uint32_t tokens;		/* thousandths of a line */
	uint64_t dropped;		/* bytes, not yet told */
	int64_t told;			/* ms: when they were, 0: never */
};

static struct output_data *data_of(int record)
{
	return RECORD_AS(record, struct output_data);
}

static struct lines *lines_of(const struct output_data *d)
{
	return d->buffer < 0 ? NULL : (void *)record_buffer(d->buffer);
}

/* The service that the stream began under, or NULL. */
static struct service *service_of(struct usher *u, int record)
{
	struct service *s = model_by_slot(u, record_at(record)->service);

	return s && strcmp(s->name, data_of(record)->service) == 0 ? s : NULL;
}

/* ---- lines ---- */

/* A beginning of <0> to <7> is the line's level, as sd-daemon(3) has it. */
static enum log_level level_of(char **line)
{
	const char *p = *line;
	int level;

	if (p[0] != '<' || p[1] < '0' || p[1] > '7' || p[2] != '>')
		return LOG_LEVEL_INFO;
	level = p[1] - '0';
	*line += 3;
	return level < LOG_LEVEL_ERROR ? LOG_LEVEL_ERROR : level;
}

/* At once, then once a minute, and AT_END what is left. */
static void tell_dropped(struct output_data *d, const struct log_about *about,
			 bool at_end)
{
	int64_t now = loop_us() / 1000;

	if (!d->dropped || (!at_end && d->told && now - d->told < TELL_MS))
		return;
	d->told = now;
	log_write(LOG_LEVEL_WARNING, about,
		  "wrote too much: %llu bytes were dropped",
		  (unsigned long long)d->dropped);
	d->dropped = 0;
}

static bool may_tell(struct output_data *d)
{
	int64_t now = loop_us() / 1000;
	int64_t passed = now - d->filled;
	uint64_t tokens = d->tokens;

	if (passed < 0 || passed > 3600000)
		passed = 3600000;
	tokens += (uint64_t)passed * OUTPUT_RATE;
	if (tokens > OUTPUT_BURST * 1000u)
		tokens = OUTPUT_BURST * 1000u;
	d->filled = now;
	d->tokens = (uint32_t)tokens;
	if (d->tokens < 1000)
		return false;
	d->tokens -= 1000;
	return true;
}

static void drop(struct usher *u, int record, uint64_t bytes)
{
	struct service *s = service_of(u, record);

	data_of(record)->dropped += bytes;
	if (s)
		s->data->output_dropped += bytes;
}

/* The line is whole, or as whole as it will ever be. */
static void tell(struct usher *u, int record)
{
	struct output_data *d = data_of(record);
	struct lines *l = lines_of(d);
	struct log_about about = {
		.service = d->service,
		.pid = (pid_t)record_at(record)->id,
		.event = "output",
	};
	char *text = l->line;
	size_t len = d->len;
	enum log_level level;

	d->len = 0;
	while (len > 0 && (text[len - 1] == '\r' || text[len - 1] == ' '))
		len--;
	text[len] = 0;
	for (size_t i = 0; i < len; i++)
		if (!text[i])
			text[i] = '?';
	if (len == 0)
		return;
	if (!may_tell(d)) {
		drop(u, record, len + 1);
		return;
	}
	level = level_of(&text);
	len = strlen(text);
	if (len >= sizeof(l->last))
		len = sizeof(l->last) - 1;
	memcpy(l->last, text, len);
	l->last[len] = 0;
	tell_dropped(d, &about, false);
	log_write(level, &about, "%s", text);
}

static bool have_buffer(struct output_data *d)
{
	int n;

	if (d->buffer >= 0)
		return true;
	n = record_buffer_new();
	if (n < 0)
		return false;
	memset(record_buffer(n), 0, sizeof(struct lines));
	d->buffer = n;
	return true;
}

static void feed(struct usher *u, int record, const char *p, size_t n)
{
	struct output_data *d = data_of(record);
	struct lines *l;

	if (!have_buffer(d)) {
		drop(u, record, n);
		return;
	}
	l = lines_of(d);
	while (n > 0) {
		const char *end = memchr(p, '\n', n);
		size_t part = end ? (size_t)(end - p) : n;
		size_t room = OUTPUT_LINE - d->len;

		if (part > room) {
			part = room;
			end = NULL;
		}
		memcpy(l->line + d->len, p, part);
		d->len += (uint32_t)part;
		if (end || d->len == OUTPUT_LINE)
			tell(u, record);
		part += end != NULL;
		p += part;
		n -= part;
	}
}

/* ---- the pipe ---- */

/* Reads at most MOST bytes; true: its end was reached. */
static bool drain(struct usher *u, int record, size_t most)
{
	char buf[READ_ONCE];

	while (most > 0) {
		ssize_t n = read(record_at(record)->fd[0], buf, sizeof(buf));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno != EAGAIN;
		if (n == 0)
			return true;
		feed(u, record, buf, (size_t)n);
		most -= (size_t)n < most ? (size_t)n : most;
	}
	return false;
}

/* What a stream's callback gets; it outlives service and worker. */
struct stream {
	struct usher *u;
	int record;
	bool over;	/* nobody has the other end; the worker may live on */
	bool ended;	/* the worker has ended; others may write on */
};

static void end(struct stream *st)
{
	struct output_data *d = data_of(st->record);

	if (d->buffer >= 0)
		record_buffer_end(d->buffer);
	d->buffer = -1;
	record_close(st->record);
	free(st);
}

static void finish(struct stream *st)
{
	struct output_data *d = data_of(st->record);
	struct log_about about = {
		.service = d->service,
		.pid = (pid_t)record_at(st->record)->id,
		.event = "output",
	};

	if (d->buffer >= 0 && d->len > 0)
		tell(st->u, st->record);
	tell_dropped(d, &about, true);
	end(st);
}

static void on_readable(void *arg, uint32_t events)
{
	struct stream *st = arg;

	(void)events;
	if (!drain(st->u, st->record, READ_ONCE))
		return;
	/* The record is its worker's until output_ended. */
	st->over = true;
	if (st->ended)
		finish(st);
	else
		loop_unwatch(st->u->loop, st->record, 0);
}

static struct stream *stream_new(struct service *s, int record)
{
	struct stream *st = xcalloc(1, sizeof(*st));

	st->u = s->u;
	st->record = record;
	return st;
}

static int open_record(struct service *s, int fd)
{
	int record = record_new(RECORD_OUTPUT, s->slot, 0);
	struct output_data *d;
	int r;

	if (record < 0) {
		close(fd);
		return record;
	}
	record_set_fd(record, 0, fd);
	d = data_of(record);
	snprintf(d->service, sizeof(d->service), "%s", s->name);
	d->buffer = -1;
	d->tokens = OUTPUT_BURST * 1000;
	d->filled = loop_us() / 1000;
	record_commit(record);
	r = loop_watch(s->u->loop, record, 0, EPOLLIN, on_readable,
		       stream_new(s, record));
	if (r < 0) {
		end(loop_arg(s->u->loop, record));
		return r;
	}
	return record;
}

int output_open(struct service *s, const struct conf_service *conf,
		int *child_fd, bool *inherit)
{
	int ends[2], r;

	*inherit = conf->output == OUTPUT_INHERIT;
	*child_fd = -1;
	if (conf->output == OUTPUT_INHERIT || conf->output == OUTPUT_NULL)
		return -1;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	fd_nonblock(ends[0], true);
	r = open_record(s, ends[0]);
	if (r < 0)
		close(ends[1]);
	else
		*child_fd = ends[1];
	return r;
}

void output_pid(int record, pid_t pid)
{
	if (record >= 0)
		record_at(record)->id = (uint64_t)pid;
}

/* No pid is so high. */
#define BEFORE (1ull << 32)

void output_before(int record, int worker)
{
	record_at(record)->id = BEFORE | (uint32_t)worker;
}

bool output_is_of(int record, int worker)
{
	uint64_t id = record_at(record)->id;

	return id == (BEFORE | (uint32_t)worker) ||
	       id == record_at(worker)->id;
}

/* What a failing worker said last, as a terminal may show it; the half line
 * counts when it is one. */
static void keep_last(struct service *s, int record)
{
	struct output_data *d = data_of(record);
	struct lines *l = lines_of(d);

	if (!l || !l->last[0])
		return;
	free(s->last_line);
	s->last_line = xstrdup(l->last);
	for (char *p = s->last_line; *p; p++)
		if (((unsigned char)*p < ' ' && *p != '\t') || *p == 127)
			*p = '?';
}

void output_ended(struct service *s, int record, bool failed)
{
	struct stream *st;

	if (record < 0)
		return;
	st = loop_arg(s->u->loop, record);
	st->ended = true;
	st->over = st->over || drain(s->u, record, READ_LAST);
	/* Whoever writes on now begins a line of their own. */
	if (data_of(record)->buffer >= 0 && data_of(record)->len > 0)
		tell(s->u, record);
	if (failed)
		keep_last(s, record);
	if (st->over)
		finish(st);
}

int output_adopt(struct service *s, int record)
{
	struct output_data *d = data_of(record);
	bool right = memchr(d->service, 0, sizeof(d->service)) &&
		     d->len < OUTPUT_LINE && d->tokens <= OUTPUT_BURST * 1000 &&
		     record_at(record)->fd[0] >= RECORD_LOW;

	if (right && d->buffer >= 0)
		right = record_buffer_claim(d->buffer) == 0;
	else
		d->buffer = -1;
	if (!right) {
		record_close(record);
		return -EINVAL;
	}
	if (d->buffer >= 0)
		lines_of(d)->last[LAST_LINE - 1] = 0;
	loop_resume(s->u->loop, record, 0, EPOLLIN, on_readable,
		    stream_new(s, record));
	return 0;
}

void output_close(struct service *s, int record)
{
	if (record >= 0)
		end(loop_arg(s->u->loop, record));
}

void output_close_all(struct usher *u)
{
	for (int i = -1; (i = record_next(RECORD_OUTPUT, i)) >= 0;)
		if (loop_arg(u->loop, i))	/* else never taken over */
			finish(loop_arg(u->loop, i));
}
