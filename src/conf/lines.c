/*
 * lines - a setting as lines that the reader takes; see lines.h.
 *
 * A line break stands for one blank. It is made outside of quotes where that
 * can be: for the reader each line's quotes begin anew.
 */
#include "conf/lines.h"

#include <ctype.h>
#include <string.h>

#include "base/mem.h"
#include "conf/keys.h"
#include "conf/reader.h"

struct text {
	char *s;	/* what is written so far */
	const char *at;	/* what of the value is left */
	char quote;	/* AT stands inside of such */
};

/* May a line break stand instead of the blank at S + I, and be read back as
 * one? What follows must not look like a key, a comment or a header. */
static bool can_break(const char *s, size_t i)
{
	const char *next = s + i + 1;
	size_t n;
	CLEANUP(freep) char *word = NULL;

	if (i == 0 || s[i] != ' ' || isspace((unsigned char)s[i - 1]) ||
	    !*next || isspace((unsigned char)*next) || strchr(";#[", *next))
		return false;
	n = strcspn(next, " \t=");
	word = xstrndup(next, n);
	return next[n + strspn(next + n, " \t")] != '=' ||
	       (!key_of_service(word) && !key_of_usher(word));
}

/* The quote that is open after C, where QUOTE was before it. */
static char quote_after(const char *c, char quote)
{
	if (quote)
		return *c == quote ? 0 : quote;
	return *c == '"' || *c == '\'' ? *c : 0;
}

/* How much of T->at goes on a line with WIDTH bytes of room, at most MOST: to
 * the last place outside of quotes that is within WIDTH, else the first one
 * after it, else the last inside of quotes. 0: nowhere. */
static size_t piece(const struct text *t, size_t width, size_t most)
{
	size_t outside = 0, inside = 0;
	char quote = t->quote;

	for (size_t i = 0; t->at[i] && i <= most; i++) {
		if (i > width && outside)
			return outside;
		if (can_break(t->at, i)) {
			if (!quote)
				outside = i;
			else if (i <= width || !inside)
				inside = i;
		}
		if (t->at[i] == '\\' && t->at[i + 1])
			i++;
		else
			quote = quote_after(&t->at[i], quote);
	}
	return outside ? outside : inside;
}

/* N bytes of what is left, as a line of its own after BEFORE. */
static bool add(struct text *t, const char *before, size_t n)
{
	CLEANUP(freep) char *line = xasprintf("%s%.*s", before, (int)n, t->at);
	CLEANUP(freep) char *all = NULL;

	if (!reader_takes(line))
		return false;
	all = TAKE(t->s);
	t->s = xasprintf("%s%s\n", all ? all : "", line);
	for (size_t i = 0; i < n; i++) {
		if (t->at[i] == '\\' && i + 1 < n)
			i++;
		else
			t->quote = quote_after(&t->at[i], t->quote);
	}
	t->at += n + (t->at[n] == ' ');
	return true;
}

char *lines_of(const char *key, const char *value, size_t width)
{
	struct text t = { .at = value };
	CLEANUP(freep) char *head = xasprintf("%s = ", key);
	const char *before = head;
	bool good = true;

	while (good && *t.at) {
		size_t used = strlen(before), left = strlen(t.at);
		size_t most = READER_LINE - used;
		size_t n = left + used <= width ? left
			   : piece(&t, width - used, most);

		if (n == 0)
			n = left;	/* one word, or too much */
		if (before == head && n > most) {
			head[used - 1] = '\0';
			good = add(&t, head, 0);
		} else {
			good = add(&t, before, n);
		}
		before = "\t";
	}
	if (!good)
		free(TAKE(t.s));
	return t.s;
}
