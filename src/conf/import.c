/*
 * import - sections written from what the formats found; see import.h.
 *
 * A line of ours holds at most 198 bytes (conf/reader), so words go on
 * indented lines, where a word that could be taken for a key is quoted.
 */
#include "conf/import.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

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
			if (len > 150)
				len = 150;
		}
		strv_pushf(lines, "# %.*s", (int)len, text);
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
	for (char *p = line; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
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
	strv_push(&im->names, xstrdup(free_one));
	import_remark(im, "from %s:%u", at.file, at.line);
}

void import_set(struct import *im, const char *key, const char *fmt, ...)
{
	CLEANUP(freep) char *value = NULL;
	va_list ap;

	va_start(ap, fmt);
	value = xvasprintf(fmt, ap);
	va_end(ap);
	strv_pushf(&im->lines, "%s = %s", key, value);
}

/* A word as text_split reads it back, that begins no comment of inih's. */
static char *quoted(const char *word, bool first_of_line)
{
	bool plain = *word != 0;
	char *out, *to;

	for (const char *p = word; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 127 ||
		    strchr("\"'\\;#", *p) || (first_of_line && *p == '='))
			plain = false;
	if (plain)
		return xstrdup(word);
	out = to = xmalloc(4 * strlen(word) + 3);
	*to++ = '"';
	for (const char *p = word; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 127 || *p == ';' ||
		    *p == '#') {
			to += sprintf(to, "\\x%02x", (unsigned char)*p);
			continue;
		}
		if (*p == '"' || *p == '\\')
			*to++ = '\\';
		*to++ = *p;
	}
	*to++ = '"';
	*to = 0;
	return out;
}

void import_words(struct import *im, const char *key, const struct strv *words)
{
	char *line = xasprintf("%s =", key);

	for (size_t i = 0; i < words->n; i++) {
		CLEANUP(freep) char *word = quoted(words->v[i], false);
		CLEANUP(freep) char *old = line;

		if (i > 0 && strlen(line) + strlen(word) + 1 > WIDTH) {
			strv_push(&im->lines, TAKE(old));
			free(word);
			word = quoted(words->v[i], true);
			line = xasprintf("\t%s", word);
			continue;
		}
		line = xasprintf("%s %s", old, word);
	}
	strv_push(&im->lines, line);
}

static void write_all(struct import *im, struct strv *lines)
{
	for (size_t i = 0; i < lines->n; i++)
		fprintf(im->out, "%s\n", lines->v[i]);
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
