/*
 * files - the files of a configuration, read into sections of entries.
 *
 * Unknown sections and keys, and what is said twice, are found here; what
 * values mean is load.c's business.
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
#include "conf/reader.h"
#include "conf/service.h"

/* No configuration is larger; /dev/zero is. */
#define FILE_MOST (64u << 20)

/* A pipe (another program's output) may take so long for its next bytes. */
#define PATIENCE_MS 10000

/* One file while it is read. */
struct file {
	struct load *l;
	const char *name;
	bool main;
	struct section *section;
	struct section *defaults;
	struct entry *entry;	/* what a continuation goes on with */
};

static struct conf_where here(const struct file *f, unsigned line)
{
	return (struct conf_where){ .file = f->name, .line = line };
}

static const char *title(const struct file *f)
{
	return f->section && *f->section->title ? f->section->title : NULL;
}

static void on_mistake(void *arg, unsigned line, const char *key,
		       const char *what)
{
	struct file *f = arg;
	const struct key *k;

	load_error(f->l, here(f, line), title(f), key, "%s", what);
	f->entry = NULL;
	if (!f->section)
		return;
	f->section->gap = true;
	if (key && (k = names_get(&f->l->service_keys, key)) &&
	    service_shaped_by(k))
		f->section->lost = true;
}

/* --- sections ------------------------------------------------------------ */

static bool good_name(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz"
			     "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

	return n > 0 && n <= 40 && !s[n];
}

static void unknown_section(struct file *f, struct section *s)
{
	static const char *const words[] = { "usher", "defaults", "service" };
	size_t n = strcspn(s->title, " \t");
	CLEANUP(freep) char *word = xstrndup(s->title, n);
	const char *near = text_nearest(word, words, ARRAY_SIZE(words));
	const char *name = s->title + n + strspn(s->title + n, " \t");

	if (strcmp(word, "service") == 0)
		load_error(f->l, s->where, s->title, NULL,
			   "a service has a name: [service NAME]");
	else if (near && strcmp(near, "service") == 0)
		load_error(f->l, s->where, s->title, NULL,
			   "unknown section; did you mean [service %s]?",
			   *name ? name : "NAME");
	else if (near)
		load_error(f->l, s->where, s->title, NULL,
			   "unknown section; did you mean [%s]?", near);
	else
		load_error(f->l, s->where, s->title, NULL,
			   "unknown section; there are [usher], [defaults] and "
			   "[service NAME]");
}

static void judge_service(struct file *f, struct section *s)
{
	s->service = s->title + 8;
	s->kind = SECTION_SERVICE;
	if (good_name(s->service))
		return;
	load_error(f->l, s->where, s->title, NULL,
		   "a service's name is of letters, digits, '.', '_' and '-', "
		   "at most 40");
	s->kind = SECTION_BAD;
}

/* [usher] and a service are once in all files, [defaults] once in each. */
static void judge_twice(struct file *f, struct section *s)
{
	struct section *first = s->kind == SECTION_DEFAULTS
					? f->defaults
					: names_get(&f->l->titles, s->title);

	if (first) {
		load_error(f->l, s->where, s->title, NULL,
			   "the same section twice; the first is at %s:%u",
			   first->where.file, first->where.line);
		s->kind = SECTION_BAD;
	} else if (s->kind == SECTION_DEFAULTS) {
		f->defaults = s;
	} else {
		names_put(&f->l->titles, s->title, s);
	}
}

static void on_section(void *arg, unsigned line, const char *name)
{
	struct file *f = arg;
	struct load *l = f->l;
	struct section *s = xcalloc(1, sizeof(*s));

	s->title = xstrdup(name);
	s->where = here(f, line);
	f->section = s;
	f->entry = NULL;
	if ((l->nsections & (l->nsections - 1)) == 0)
		l->sections = xrealloc(l->sections,
				       (l->nsections ? l->nsections * 2 : 1) *
					       sizeof(struct section *));
	l->sections[l->nsections++] = s;

	if (strcmp(name, "usher") == 0) {
		s->kind = SECTION_USHER;
		if (!f->main) {
			load_error(l, s->where, name, NULL,
				   "[usher] stands in the main file, not in "
				   "an included one");
			s->kind = SECTION_BAD;
		}
	} else if (strcmp(name, "defaults") == 0) {
		s->kind = SECTION_DEFAULTS;
	} else if (strncmp(name, "service ", 8) == 0) {
		judge_service(f, s);
	} else if (*name) {
		unknown_section(f, s);
	}
	if (s->kind != SECTION_BAD)
		judge_twice(f, s);
}

/* --- keys ---------------------------------------------------------------- */

static const char *nearest_key(const char *name, bool usher)
{
	const struct key *keys = usher ? usher_keys : service_keys;
	size_t n = usher ? n_usher_keys : n_service_keys;
	const char *words[128];

	for (size_t i = 0; i < n; i++)
		words[i] = keys[i].name;
	return text_nearest(name, words, n);
}

static const char *other_section(bool usher)
{
	return usher ? "[service NAME] or [defaults]" : "[usher]";
}

static void unknown_key(struct file *f, unsigned line, const char *key)
{
	bool usher = f->section->kind == SECTION_USHER;
	const char *near = nearest_key(key, usher);
	const char *other = near ? NULL : nearest_key(key, !usher);

	if (names_get(usher ? &f->l->service_keys : &f->l->usher_keys, key))
		load_error(f->l, here(f, line), title(f), key,
			   "not a key of this section; it belongs to %s",
			   other_section(usher));
	else if (near)
		load_error(f->l, here(f, line), title(f), key,
			   "unknown key; did you mean %s?", near);
	else if (other)
		load_error(f->l, here(f, line), title(f), key,
			   "unknown key; did you mean %s? It belongs to %s",
			   other, other_section(usher));
	else
		load_error(f->l, here(f, line), title(f), key,
			   "unknown key; usher.ini(5) lists them");
}

/* Where S has K, or NULL. */
static const struct entry *has(const struct section *s, const struct key *k)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].key == k)
			return &s->v[i];
	return NULL;
}

static void on_entry(void *arg, unsigned line, const char *key,
		     const char *value)
{
	struct file *f = arg;
	struct section *s = f->section;
	const struct entry *first;
	const struct key *k;

	f->entry = NULL;
	if (!s) {
		load_error(f->l, here(f, line), NULL, key,
			   "stands before the first section");
		return;
	}
	if (s->kind == SECTION_BAD)
		return;
	k = names_get(s->kind == SECTION_USHER ? &f->l->usher_keys
					       : &f->l->service_keys,
		      key);
	if (!k) {
		s->gap = true;
		unknown_key(f, line, key);
		return;
	}
	first = k->many ? NULL : has(s, k);
	if (first) {
		load_error(f->l, here(f, line), title(f), key,
			   "given twice; the first is in line %u",
			   first->where.line);
		return;
	}
	if ((s->n & (s->n - 1)) == 0)
		s->v = xrealloc(s->v, (s->n ? s->n * 2 : 1) * sizeof(*s->v));
	f->entry = &s->v[s->n++];
	*f->entry = (struct entry){
		.key = k, .value = xstrdup(value), .where = here(f, line),
	};
}

static void on_more(void *arg, unsigned line, const char *text)
{
	struct file *f = arg;
	char *before;

	(void)line;
	if (!f->entry)
		return;
	before = f->entry->value;
	f->entry->value = *before ? xasprintf("%s %s", before, text)
				  : xstrdup(text);
	free(before);
}

static bool on_known(void *arg, const char *word)
{
	struct file *f = arg;

	return names_get(&f->l->service_keys, word) ||
	       names_get(&f->l->usher_keys, word);
}

static const struct reader_events events = {
	.section = on_section,
	.entry = on_entry,
	.more = on_more,
	.mistake = on_mistake,
	.known = on_known,
};

/* --- files --------------------------------------------------------------- */

/* Takes TEXT, keeps it, and reads it as the file NAME. */
static void parse(struct load *l, const char *name, char *text, size_t len)
{
	struct conf *c = l->conf;
	struct file f = { .l = l, .main = c->files.n == 0 };

	strv_push(&c->files, xstrdup(name));
	f.name = c->files.v[c->files.n - 1];
	c->texts = xrealloc(c->texts, c->files.n * sizeof(*c->texts));
	c->texts[c->files.n - 1] = (struct conf_text){ text, len };
	reader_parse(text, len, &events, &f);
}

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
		parse(l, path, text, len);
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
	parse(l, name, after, len);
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
		parse(l, src->path, text, src->len);
	} else {
		r = read_file(l, src->path, (struct conf_where){ 0 });
	}
	if (r == 0)
		read_includes(l);
	return r;
}
