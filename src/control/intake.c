/*
 * intake - bytes of a control connection to messages; see the header.
 */
#include "control/intake.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

/* Grows by doubling, so that a reader of small messages stays small. */
static void grow(struct intake *f, size_t need)
{
	size_t cap = f->cap ? f->cap : 512;

	while (cap < need)
		cap *= 2;
	if (cap != f->cap) {
		f->buf = xrealloc(f->buf, cap);
		f->cap = cap;
	}
}

static int refuse(const int *fds, int nfds, int error)
{
	for (int i = 0; i < nfds; i++)
		fd_drop(fds[i]);
	return error;
}

int intake_add(struct intake *f, const void *data, size_t len, const int *fds,
	      int nfds)
{
	if (f->len + len > f->most)
		return refuse(fds, nfds, -EMSGSIZE);
	if (f->nfds + nfds > FD_MESSAGE_MAX)
		return refuse(fds, nfds, -EBADMSG);
	grow(f, f->len + len + 1);
	memcpy(f->buf + f->len, data, len);
	f->len += len;
	for (int i = 0; i < nfds; i++)
		f->fds[f->nfds++] = (struct intake_fd){
			.fd = fds[i],
			.at = f->base + f->len,
		};
	return 0;
}

static void drop(struct intake *f, size_t n)
{
	f->len -= n;
	f->base += n;
	f->looked = 0;
	memmove(f->buf, f->buf + n, f->len);
	/* What a large message needed is not kept. */
	if (f->len == 0 && f->cap > 4096) {
		free(TAKE(f->buf));
		f->cap = 0;
	}
}

/* Empty lines, and the NUL of who ends a line as JSON is ended. */
static void skip_blanks(struct intake *f)
{
	size_t n = 0;

	while (n < f->len && (f->buf[n] == '\0' || f->buf[n] == ' ' ||
			      f->buf[n] == '\n' || f->buf[n] == '\r' ||
			      f->buf[n] == '\t'))
		n++;
	if (n > 0)
		drop(f, n);
}

static bool is_end(char c, bool line)
{
	return c == '\0' || (line && c == '\n');
}

int intake_next(struct intake *f, struct message *m)
{
	skip_blanks(f);
	if (f->len == 0)
		return 0;
	m->line = f->buf[0] != '{';
	while (f->looked < f->len && !is_end(f->buf[f->looked], m->line))
		f->looked++;
	if (f->looked == f->len)
		return 0;
	m->text = f->buf;
	m->len = f->looked;
	m->size = f->looked + 1;
	m->text[m->len] = '\0';
	if (m->line && m->len > 0 && m->text[m->len - 1] == '\r')
		m->text[--m->len] = '\0';
	return 1;
}

int intake_fds(struct intake *f, const struct message *m, int *fds)
{
	uint64_t end = f->base + m->size;
	int n = 0, left = 0;

	for (int i = 0; i < f->nfds; i++) {
		if (f->fds[i].at <= end)
			fds[n++] = f->fds[i].fd;
		else
			f->fds[left++] = f->fds[i];
	}
	f->nfds = left;
	return n;
}

void intake_done(struct intake *f, const struct message *m)
{
	drop(f, m->size);
}

bool intake_half(const struct intake *f)
{
	return f->len > 0 || f->nfds > 0;
}

void intake_end(struct intake *f)
{
	for (int i = 0; i < f->nfds; i++)
		fd_drop(f->fds[i].fd);
	f->nfds = 0;
	free(TAKE(f->buf));
	f->len = f->cap = f->looked = 0;
}
