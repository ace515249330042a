/*
 * import - sections written from what the formats found; see import.h.
 *
 * A line of ours holds at most 198 bytes (conf/reader), so long values go on
 * indented lines.
 */
#include "conf/import.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

#include "base/text.h"
#include "conf/lines.h"
#include "conf/service.h"

#define WIDTH	 76
#define NAME_LEN 40

void import_split(const char *s, struct strv *out)
{
	*out = (struct strv){ 0 };
	for (;;) {
		size_t len;

		s += strspn(s, " \t\r\n");
		len = strcspn(s, " \t\r\n");
		if (len == 0)
			return;
		strv_push(out, xstrndup(s, len));
		s += len;
	}
}

/* ---- comments ---- */

/* What a file of ours can't hold is shown as '?': the file may be in any
 * encoding. */
static void make_printable(char *s)
{
	size_t at = 0, len = strlen(s);

	while ((at += text_unprintable(s + at, len - at)) < len) {
		s[at] = (unsigned char)s[at] < ' ' ? ' ' : '?';
		at++;
	}
	for (; *s; s++)
		if (*s == '\t')
			*s = ' ';
}

/* "# TEXT", broken at blanks. */
static void comment(struct strv *lines, const char *text)
{
	while (*text) {
		size_t len = strlen(text);

		if (len > WIDTH - 2) {
			len = WIDTH - 2;
			while (len > 0 && text[len] != ' ')
				len--;
			if (len == 0)
				len = strcspn(text, " ");
			if (len > 150)	/* not within a UTF-8 sequence */
				len = text_unprintable(text, 150);
		}
		strv_pushf(lines, "# %.*s\n", (int)len, text);
		text += len;
		text += strspn(text, " ");
	}
}

void import_missed(struct import *im, struct import_at at, const char *fmt,
		   ...)
{
	CLEANUP(freep) char *what = NULL;
	CLEANUP(freep) char *line = NULL;
	va_list ap;

	va_start(ap, fmt);
	what = xvasprintf(fmt, ap);
	va_end(ap);
	line = xasprintf("%s:%u: %s", at.file, at.line, what);
	make_printable(line);
	fprintf(im->err, "%s\n", line);
	comment(&im->remarks, line);
	im->missed++;
}

void import_remark(struct import *im, const char *fmt, ...)
{
	CLEANUP(freep) char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	make_printable(text);
	comment(&im->remarks, text);
}

/* ---- sections ---- */

static bool taken(const struct import *im, const char *name)
{
	for (size_t i = 0; i < im->names.n; i++)
		if (strcmp(im->names.v[i], name) == 0)
			return true;
	return false;
}

void import_begin(struct import *im, const char *name, struct import_at at)
{
	char base[NAME_LEN + 1], free_one[NAME_LEN + 16];
	size_t n = 0;

	for (; *name && n < NAME_LEN - 5; name++)
		base[n++] = isalnum((unsigned char)*name) ||
			    strchr("._-", *name) ? *name : '-';
	base[n] = 0;
	snprintf(free_one, sizeof(free_one), "%s", n ? base : "service");
	for (int i = 2; taken(im, free_one); i++)
		snprintf(free_one, sizeof(free_one), "%s-%d", base, i);
	im->name = xstrdup(free_one);
	im->at = at;
	strv_push(&im->names, xstrdup(free_one));
	import_remark(im, "from %s:%u", at.file, at.line);
}

/* Why VALUE is none that KEY takes, as far as the file itself tells: users,
 * hosts and programs may still come. Allocated, or NULL. */
static char *unfit(const char *key, const char *value)
{
	const struct key *k = key_of_service(key);
	struct conf_service *s = xcalloc(1, sizeof(*s));
	struct world world = { 0 };
	struct value_in in = { .world = &world, .kept = true };
	char *why = NULL;

	(void)value_parse(k, s, value, &in, &why);
	conf_service_free(s);
	world_free(&world);
	return why;
}

/* A value that the loader would refuse is said instead, save of what the
 * section can't be without. */
static void set(struct import *im, const char *key, const char *value)
{
	bool must = strcmp(key, "exec") == 0 || strcmp(key, "listen") == 0;
	CLEANUP(freep) char *why = must ? NULL : unfit(key, value);
	char *lines = why ? NULL : lines_of(key, value, WIDTH);

	if (lines)
		strv_push(&im->lines, lines);
	else
		import_missed(im, im->at, "%s = %.100s: %s", key, value,
			      why ? why : "no text, or too long for a line");
}

void import_set(struct import *im, const char *key, const char *fmt, ...)
{
	CLEANUP(freep) char *value = NULL;
	va_list ap;

	va_start(ap, fmt);
	value = xvasprintf(fmt, ap);
	va_end(ap);
	set(im, key, value);
}

void import_words(struct import *im, const char *key, const struct strv *words)
{
	CLEANUP(freep) char *value = text_join(words);

	set(im, key, value);
}

static void write_all(struct import *im, struct strv *lines)
{
	for (size_t i = 0; i < lines->n; i++)
		fputs(lines->v[i], im->out);
	strv_free(lines);
}

void import_end(struct import *im)
{
	write_all(im, &im->remarks);
	fprintf(im->out, "[service %s]\n", im->name);
	write_all(im, &im->lines);
	fputc('\n', im->out);
	free(TAKE(im->name));
	im->sections++;
}

void import_drop(struct import *im)
{
	if (im->remarks.n) {
		write_all(im, &im->remarks);
		fputc('\n', im->out);
	}
	strv_free(&im->lines);
	if (im->name) {
		free(im->names.v[--im->names.n]);
		im->names.v[im->names.n] = NULL;
	}
	free(TAKE(im->name));
}

void import_finish(struct import *im)
{
	import_drop(im);
	strv_free(&im->names);
}
