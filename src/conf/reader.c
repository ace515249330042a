/*
 * reader - a file's lines, read by inih without its silences.
 *
 * inih asks for each line and gets it only if it will read it as it stands;
 * else it gets an empty one, and the mistake is told. Indented lines are
 * joined here: inih's handler can't tell them from repeated keys.
 *
 * What sections and keys mean is the loader's business.
 */
#include "conf/reader.h"

#include <ctype.h>
#include <ini.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

struct reader {
	const struct reader_events *ev;
	void *arg;
	const char *at, *end;	/* what inih has not asked for */
	unsigned line, mistakes;
	enum { NO_KEY, GOOD_KEY, BAD_KEY } above;	/* who is continued */
	char *expect;		/* the value that inih must make of the line */
};

static void mistake(struct reader *r, const char *key, const char *what)
{
	r->mistakes++;
	r->ev->mistake(r->arg, r->line, key, what);
}

/* The next line without its end, allocated; NULL at the end. */
static char *next_line(struct reader *r, size_t *len)
{
	const char *nl;
	char *s;

	if (r->at == r->end)
		return NULL;
	nl = memchr(r->at, '\n', (size_t)(r->end - r->at));
	*len = (size_t)((nl ? nl : r->end) - r->at);
	s = xmalloc(*len + 1);
	memcpy(s, r->at, *len);
	s[*len] = '\0';
	r->at = nl ? nl + 1 : r->end;
	r->line++;
	if (*len > 0 && s[*len - 1] == '\r')
		s[--*len] = '\0';
	return s;
}

static char *skip(char *s)
{
	return s + strspn(s, " \t");
}

static void trim_end(char *s)
{
	size_t n = strlen(s);

	while (n > 0 && isspace((unsigned char)s[n - 1]))
		n--;
	s[n] = '\0';
}

/* " ;" cuts the value for inih, wherever it stands. */
static bool has_cut(const char *s)
{
	for (; *s; s++)
		if (isspace((unsigned char)s[0]) && s[1] == ';')
			return true;
	return false;
}

/* " # ..." would silently stay in the value. Inside quotes it is meant. */
static bool has_hash(const char *s)
{
	char quote = 0;

	for (; *s; s++) {
		if (quote && *s == '\\' && s[1])
			s++;
		else if (quote)
			quote = *s == quote ? 0 : quote;
		else if (*s == '"' || *s == '\'')
			quote = *s;
		else if (isspace((unsigned char)s[0]) && s[1] == '#')
			return true;
	}
	return false;
}

bool reader_takes(const char *line)
{
	size_t len = strlen(line);

	return len <= READER_LINE && text_printable(line, len) &&
	       !has_cut(line) && !has_hash(line);
}

/* The comments that are none. True: a mistake was told. */
static bool bad_comment(struct reader *r, const char *key, const char *s)
{
	if (has_cut(s)) {
		mistake(r, key, "' ;' would begin a comment and cut the line; "
				"a comment stands on a line of its own, and a "
				"';' that is meant has no blank before it");
		return true;
	}
	if (has_hash(s)) {
		mistake(r, key, "' #' begins no comment here; a comment stands "
				"on a line of its own, and a '#' that is meant "
				"has no blank before it or stands in quotes");
		return true;
	}
	return false;
}

static bool is_header(const char *s)
{
	return strncmp(s, "[usher]", 7) == 0 ||
	       strncmp(s, "[defaults]", 10) == 0 ||
	       strncmp(s, "[service ", 9) == 0;
}

/* Does an indented line look like a key of its own, as git writes them? */
static bool looks_like_key(struct reader *r, const char *s)
{
	size_t n = strcspn(s, " \t=");
	CLEANUP(freep) char *word = xstrndup(s, n);

	return s[n + strspn(s + n, " \t")] == '=' &&
	       r->ev->known(r->arg, word);
}

static void continued(struct reader *r, char *s)
{
	trim_end(s);
	if (is_header(s)) {
		mistake(r, NULL, "an indented section header would continue "
				 "the value above; begin it at the line's "
				 "start");
		r->above = BAD_KEY;
	} else if (looks_like_key(r, s)) {
		CLEANUP(freep) char *word = xstrndup(s, strcspn(s, " \t="));

		mistake(r, word, "an indented line continues the value above; "
				 "begin the key at the line's start");
		r->above = BAD_KEY;
	} else if (r->above == NO_KEY) {
		mistake(r, NULL, "an indented line, and no value above that "
				 "it could continue");
	} else if (r->above == GOOD_KEY && !bad_comment(r, NULL, s)) {
		r->ev->more(r->arg, r->line, s);
	}
}

/* "[NAME]"; a mistake in it does not hide which section it is. True: inih
 * may have the line. */
static bool header(struct reader *r, const char *line)
{
	const char *close = strchr(line, ']');
	const char *start = line + 1;
	size_t n = close ? (size_t)(close - start) : 0;
	CLEANUP(freep) char *name = xstrndup(start, n);
	const char *bare = skip(name);
	bool blanks = bare > name || (n > 0 && isspace((unsigned char)
							start[n - 1]));
	unsigned before = r->mistakes;

	r->above = NO_KEY;
	trim_end(name);
	r->ev->section(r->arg, r->line, bare);
	if (!close)
		mistake(r, NULL, "a section without its ']'");
	else if (!*bare)
		mistake(r, NULL, "a section without a name");
	else if (close[1 + strspn(close + 1, " \t")])
		mistake(r, NULL, "something after the ']' would be ignored; "
				 "nothing may follow it");
	if (n > READER_SECTION)
		mistake(r, NULL, "a section's name of more than 49 bytes "
				 "would be cut");
	if (blanks)
		mistake(r, NULL, "blanks inside the brackets would become "
				 "part of the name; write it without");
	return r->mistakes == before;
}

/* "KEY VALUE", "KEY: VALUE", "KEY --a=b": say where the = belongs. */
static void no_equals(struct reader *r, const char *line)
{
	size_t n = strcspn(line, " \t:");
	CLEANUP(freep) char *word = xstrndup(line, n);
	CLEANUP(freep) char *what = NULL;
	const char *rest = line + n;

	rest += strspn(rest, " \t");
	if (*rest == ':' && r->ev->known(r->arg, word))
		rest++;
	rest += strspn(rest, " \t");
	what = xasprintf("there is no '=' %s; write '%s = %s'",
			 strchr(line, '=') ? "after the key" : "in this line",
			 word, rest);
	if (r->ev->known(r->arg, word))
		mistake(r, word, what);
	else
		mistake(r, NULL, "there is no '=' in this line; write 'KEY = "
				 "VALUE', or '[SECTION]'");
}

/* "KEY = VALUE". True: inih may have it, and must make r->expect of it. */
static bool entry(struct reader *r, const char *line)
{
	const char *equals = strchr(line, '=');
	size_t n = strcspn(line, ":=");
	CLEANUP(freep) char *key = NULL;

	r->above = BAD_KEY;
	if (!equals || line[n] == ':') {
		no_equals(r, line);
		return false;
	}
	key = xstrndup(line, n);
	trim_end(key);
	if (!*key) {
		mistake(r, NULL, "no key before the '='");
		return false;
	}
	/* " ;" before the = too: inih would see no = at all. */
	if (bad_comment(r, key, line))
		return false;
	if (key[strcspn(key, " \t")]) {	/* exec /bin/x --a=b */
		no_equals(r, line);
		return false;
	}
	r->expect = xstrdup(equals + 1 + strspn(equals + 1, " \t"));
	trim_end(r->expect);
	r->above = GOOD_KEY;
	return true;
}

static bool is_comment(const char *s)
{
	return *s == ';' || *s == '#';
}

static void too_long(struct reader *r, char *line, size_t len)
{
	bool comment = is_comment(skip(line));
	CLEANUP(freep) char *what = xasprintf(
		"a line of %zu bytes; %d is the most: go on in the next line, "
		"%s", len, READER_LINE,
		comment ? "after another '#'" : "indented");

	mistake(r, NULL, what);
	if (!comment && !isspace((unsigned char)*line))
		r->above = BAD_KEY;
}

/* The byte of LINE at AT is no text. */
static void unprintable(struct reader *r, const char *line, size_t at)
{
	unsigned char c = (unsigned char)line[at];
	CLEANUP(freep) char *what =
		c < 0x80 ? xasprintf("a control character in the line (byte "
				     "%zu is 0x%02x)", at + 1, c)
			 : xasprintf("byte %zu of the line (0x%02x) is no "
				     "UTF-8 text; write the file in UTF-8",
				     at + 1, c);

	mistake(r, NULL, what);
	r->above = BAD_KEY;
}

/* True: inih will read LINE as it stands. */
static bool judge(struct reader *r, char *line, size_t len)
{
	size_t odd = text_unprintable(line, len);
	char *start;

	if (len > READER_LINE) {
		too_long(r, line, len);
		return false;
	}
	if (odd < len) {
		unprintable(r, line, odd);
		return false;
	}
	start = skip(line);
	if (!*start || is_comment(start))
		return false;
	if (start > line) {
		continued(r, start);
		return false;
	}
	return *line == '[' ? header(r, line) : entry(r, line);
}

/* inih's fgets. */
static char *feed(char *str, int num, void *stream)
{
	struct reader *r = stream;
	size_t len = 0;
	CLEANUP(freep) char *line = NULL;

	/* A line that inih had and made nothing of. */
	if (r->expect) {
		mistake(r, NULL, "not understood");
		free(TAKE(r->expect));
	}
	line = next_line(r, &len);
	if (!line || num < 2)
		return NULL;
	if (!judge(r, line, len))
		len = 0;
	if (len + 2 > (size_t)num) {
		mistake(r, NULL, "a line longer than this inih takes; go on "
				 "in the next line, indented");
		free(TAKE(r->expect));
		len = 0;
	}
	memcpy(str, line, len);
	str[len] = '\n';
	str[len + 1] = '\0';
	return str;
}

/* inih has read the line that feed gave last. */
static int pair(struct reader *r, const char *name, const char *value)
{
	CLEANUP(freep) char *expect = TAKE(r->expect);

	if (!name || !expect)	/* a build that tells of sections too */
		return 1;
	if (!value || strcmp(value, expect) != 0)
		mistake(r, name, "inih would cut this value");
	else
		r->ev->entry(r->arg, r->line, name, value);
	return 1;
}

#if INI_HANDLER_LINENO
static int handler(void *user, const char *section, const char *name,
		   const char *value, int lineno)
{
	(void)section;
	(void)lineno;
	return pair(user, name, value);
}
#else
static int handler(void *user, const char *section, const char *name,
		   const char *value)
{
	(void)section;
	return pair(user, name, value);
}
#endif

void reader_parse(const char *text, size_t len,
		  const struct reader_events *events, void *arg)
{
	struct reader r = {
		.ev = events, .arg = arg, .at = text, .end = text + len,
	};

	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		r.at += 3;
	if (len >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 ||
			 memcmp(text, "\xfe\xff", 2) == 0)) {
		r.line = 1;
		mistake(&r, NULL, "the file is in UTF-16; write it in UTF-8");
		return;
	}
	/* What it returns was told by judge, pair or feed. */
	(void)ini_parse_stream(feed, &r, handler, &r);
	if (r.expect)
		mistake(&r, NULL, "not understood");
	free(r.expect);
}
