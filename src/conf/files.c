/*
 * files - the files of a configuration, as the main file names them, and all
 * of them as one text.
 *
 * What stands in a file is sections.c's business.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "conf/load.h"

/* No configuration is larger; /dev/zero is. */
#define FILE_MOST (64u << 20)

/* A pipe (another program's output) may take so long for its next bytes. */
#define PATIENCE_MS 10000

/* More of FD to TO. A pipe whose writer takes its time is waited for. */
static ssize_t read_some(int fd, char *to, size_t room)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n;
	int r = 1;

	do {
		n = read(fd, to, room);
		if (n < 0 && errno == EAGAIN)
			r = poll(&p, 1, PATIENCE_MS);
	} while (n < 0 && (errno == EINTR || errno == EAGAIN) && r > 0);
	return n >= 0 ? n : r == 0 ? -ETIMEDOUT : -errno;
}

/* The whole of FD, allocated. 0 or -errno. */
static int slurp(int fd, char **text, size_t *len)
{
	size_t room = 0;
	ssize_t n;

	*text = NULL;
	*len = 0;
	do {
		if (*len == room) {
			room = room ? room * 2 : 16384;
			*text = xrealloc(*text, room);
		}
		n = read_some(fd, *text + *len, room - *len);
		if (n > 0)
			*len += (size_t)n;
		if (*len >= FILE_MOST)
			n = -EFBIG;
	} while (n > 0);
	if (n < 0)
		free(TAKE(*text));
	return (int)n;
}

/* Is it a file that was read already, perhaps by another name? Else it is
 * from now on. */
static bool was_read(struct load *l, const struct stat *st)
{
	for (size_t i = 0; i < l->nids; i++)
		if (l->ids[i].dev == st->st_dev && l->ids[i].ino == st->st_ino)
			return true;
	l->ids = xrealloc(l->ids, (l->nids + 1) * sizeof(*l->ids));
	l->ids[l->nids++] = (struct file_id){ st->st_dev, st->st_ino };
	return false;
}

/* Reads PATH, once. 0 or -errno; -EBADMSG: a name that no line of a report,
 * and none of a dump, can hold. */
static int read_once(struct load *l, const char *path)
{
	CLEANUP(fd_closep) int fd = -1;
	struct stat st;
	char *text;
	size_t len;
	int r;

	for (const char *p = path; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return -EBADMSG;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (was_read(l, &st))
		return 0;
	r = slurp(fd, &text, &len);
	if (r == 0)
		sections_read(l, path, text, len);
	return r;
}

static int read_file(struct load *l, const char *path, struct conf_where by)
{
	int r = read_once(l, path);
	const char *why = r == -EBADMSG
		? "a control character in the file's name" : strerror(-r);

	if (r < 0 && by.file)
		load_error(l, by, "usher", "include", "%s: %s", path, why);
	else if (r < 0)
		load_error(l, (struct conf_where){ .file = path }, NULL, NULL,
			   "cannot be read: %s", why);
	return r;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A pattern is relative to the main file's directory, whose own name is no
 * pattern. */
static char *pattern(const struct load *l, const char *glob)
{
	const char *main = l->conf->files.v[0];
	const char *slash = strrchr(main, '/');
	char *all, *to;

	if (*glob == '/' || !slash)
		return xstrdup(glob);
	all = to = xmalloc(2 * strlen(main) + strlen(glob) + 2);
	for (const char *p = main; p <= slash; p++) {
		if (strchr("*?[\\", *p))
			*to++ = '\\';
		*to++ = *p;
	}
	strcpy(to, glob);
	return all;
}

/* glob: go on without a directory that is not there, stop at one that can't
 * be read. */
static int unreadable(const char *path, int error)
{
	(void)path;
	return error != ENOENT && error != ENOTDIR;
}

static void include(struct load *l, const struct entry *e)
{
	CLEANUP(freep) char *glob_text = pattern(l, e->value);
	glob_t g = { 0 };
	int r = glob(glob_text, GLOB_NOSORT, unreadable, &g);

	if (r == GLOB_NOMATCH && !strpbrk(e->value, "*?["))
		load_error(l, e->where, "usher", "include", "%s: %s",
			   e->value, strerror(ENOENT));
	else if (r != 0 && r != GLOB_NOMATCH)
		load_error(l, e->where, "usher", "include",
			   "%s: a directory cannot be read", e->value);
	if (r == 0) {
		qsort(g.gl_pathv, g.gl_pathc, sizeof(char *), by_name);
		for (size_t i = 0; i < g.gl_pathc; i++)
			read_file(l, g.gl_pathv[i], e->where);
	}
	globfree(&g);
}

/* The files that [usher] of the main file names. */
static void read_includes(struct load *l)
{
	const struct section *usher = names_get(&l->titles, "usher");

	for (size_t i = 0; usher && i < usher->n; i++)
		if (strcmp(usher->v[i].key->name, "include") == 0)
			include(l, &usher->v[i]);
}

/* --- the text of all files as one ---------------------------------------- */

static const char magic[] = "#usher configuration 1\n";

char *conf_dump(const struct conf *c, size_t *len)
{
	char *text = NULL;
	FILE *f = xmemstream(&text, len);

	fputs(magic, f);
	for (size_t i = 0; i < c->files.n; i++) {
		fprintf(f, "#file %zu %s\n", c->texts[i].len, c->files.v[i]);
		fwrite(c->texts[i].text, 1, c->texts[i].len, f);
		fputc('\n', f);
	}
	xmemstream_end(f);
	return text;
}

/* One file of a dump at *AT; -EINVAL: it is torn. */
static int undump_one(struct load *l, const char **at, const char *end)
{
	CLEANUP(freep) char *name = NULL;
	CLEANUP(freep) char *head = NULL;
	const char *nl = memchr(*at, '\n', (size_t)(end - *at));
	char *after;
	size_t len;

	if (!nl || strncmp(*at, "#file ", 6) != 0)
		return -EINVAL;
	head = xstrndup(*at + 6, (size_t)(nl - *at - 6));
	errno = 0;
	len = strtoul(head, &after, 10);
	if (errno || after == head || *after != ' ' ||
	    len >= (size_t)(end - nl))
		return -EINVAL;
	name = xstrdup(after + 1);
	after = xmalloc(len + 1);
	memcpy(after, nl + 1, len);
	sections_read(l, name, after, len);
	*at = nl + 1 + len;
	if (*at < end)
		(*at)++;
	return 0;
}

static int undump(struct load *l)
{
	const char *at = l->src->text + sizeof(magic) - 1;
	const char *end = l->src->text + l->src->len;
	int r = -EINVAL;

	l->kept = true;
	do {
		r = undump_one(l, &at, end);
	} while (r == 0 && at < end);
	if (r < 0)
		load_error(l, (struct conf_where){ .file = l->src->path },
			   NULL, NULL, "the kept configuration is torn");
	return r;
}

int files_read(struct load *l)
{
	const struct conf_source *src = l->src;
	int r = 0;

	if (src->text && src->len >= sizeof(magic) - 1 &&
	    memcmp(src->text, magic, sizeof(magic) - 1) == 0)
		return undump(l);
	if (src->text) {
		char *text = xmalloc(src->len + 1);

		memcpy(text, src->text, src->len);
		sections_read(l, src->path, text, src->len);
	} else {
		r = read_file(l, src->path, (struct conf_where){ 0 });
	}
	if (r == 0)
		read_includes(l);
	return r;
}
