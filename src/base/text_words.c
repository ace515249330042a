/*
 * text_words - words: command lines, the nearest word, printable text, hex.
 *
 * A command line is split as systemd splits ExecStart: quotes may begin
 * anywhere in a word, escapes act inside and outside of both kinds of quotes,
 * and an unknown escape stays as it is written.
 */
#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

/* A word that grows. */
struct word {
	char *s;
	size_t len, room;
};

static void word_free(struct word *w)
{
	free(w->s);
}

static void word_add(struct word *w, char c)
{
	if (w->len + 1 >= w->room) {
		w->room = w->room ? 2 * w->room : 32;
		w->s = xrealloc(w->s, w->room);
	}
	w->s[w->len++] = c;
	w->s[w->len] = '\0';
}

static void word_add_string(struct word *w, const char *s)
{
	while (*s)
		word_add(w, *s++);
}

/* A code point as UTF-8. */
static void word_add_rune(struct word *w, uint32_t c)
{
	if (c < 0x80) {
		word_add(w, (char)c);
		return;
	}
	if (c < 0x800) {
		word_add(w, (char)(0xc0 | c >> 6));
	} else {
		if (c < 0x10000) {
			word_add(w, (char)(0xe0 | c >> 12));
		} else {
			word_add(w, (char)(0xf0 | c >> 18));
			word_add(w, (char)(0x80 | (c >> 12 & 0x3f)));
		}
		word_add(w, (char)(0x80 | (c >> 6 & 0x3f)));
	}
	word_add(w, (char)(0x80 | (c & 0x3f)));
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return 99;
}

/* Exactly N digits of BASE at S. */
static bool numeric(const char *s, int n, int base, uint32_t *out)
{
	uint32_t v = 0;

	for (int i = 0; i < n; i++) {
		int d = digit_value(s[i]);

		if (d >= base)
			return false;
		v = v * (uint32_t)base + (uint32_t)d;
	}
	*out = v;
	return true;
}

static const struct {
	char letter, value;
} escapes[] = {
	{ 'a', '\a' }, { 'b', '\b' }, { 'f', '\f' },  { 'n', '\n' },
	{ 'r', '\r' }, { 't', '\t' }, { 'v', '\v' },  { 's', ' ' },
	{ '"', '"' },  { '\'', '\'' }, { '\\', '\\' },
};

/* Escapes by number: the letter, the digits after it, their base. */
static const struct {
	char letter;
	int skip, digits, base;
	bool rune;
} numbers[] = {
	{ 'x', 1, 2, 16, false }, { 'u', 1, 4, 16, true },
	{ 'U', 1, 8, 16, true },  { '0', 0, 3, 8, false },
	{ '1', 0, 3, 8, false },  { '2', 0, 3, 8, false },
	{ '3', 0, 3, 8, false },
};

/* What follows the backslash before S; how many bytes it took, or -EILSEQ. */
static int unescape(const char *s, struct word *w)
{
	uint32_t v;

	if (!*s)
		return -EILSEQ;
	for (size_t i = 0; i < ARRAY_SIZE(escapes); i++) {
		if (escapes[i].letter == *s) {
			word_add(w, escapes[i].value);
			return 1;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		if (numbers[i].letter != *s ||
		    !numeric(s + numbers[i].skip, numbers[i].digits,
			     numbers[i].base, &v))
			continue;
		/* No argument can hold a NUL, nor UTF-8 these. */
		if (v == 0 || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
			return -EILSEQ;
		if (numbers[i].rune)
			word_add_rune(w, v);
		else
			word_add(w, (char)v);
		return numbers[i].skip + numbers[i].digits;
	}
	word_add(w, '\\');
	word_add(w, *s);
	return 1;
}

static bool blank(char c)
{
	return c && strchr(" \t\r\n", c);
}

/* One word at *S, which is no blank. */
static int one_word(const char **s, struct word *w)
{
	const char *p = *s;
	char quote = '\0';
	int n;

	for (; *p && (quote || !blank(*p)); p++) {
		if (*p == '\\') {
			n = unescape(p + 1, w);
			if (n < 0)
				return n;
			p += n;
		} else if (quote && *p == quote) {
			quote = '\0';
		} else if (!quote && (*p == '"' || *p == '\'')) {
			quote = *p;
		} else {
			word_add(w, *p);
		}
	}
	*s = p;
	return quote ? -EINVAL : 0;
}

int text_split(const char *s, struct strv *out)
{
	CLEANUP(strv_free) struct strv sv = { 0 };
	int r;

	for (;;) {
		CLEANUP(word_free) struct word w = { 0 };

		while (blank(*s))
			s++;
		if (!*s)
			break;
		r = one_word(&s, &w);
		if (r < 0)
			return r;
		strv_push(&sv, w.s ? TAKE(w.s) : xstrdup(""));
	}
	*out = sv;
	sv = (struct strv){ 0 };
	return 0;
}

const char *text_split_why(int error)
{
	return error == -EILSEQ
		? "a backslash at the end, or an escape of what no word can "
		  "hold; a backslash itself is \\\\"
		: "a quote without its end";
}

/* Bytes of the UTF-8 sequence at P, 0: there is none, or a control. */
static size_t rune_length(const unsigned char *p, size_t len)
{
	static const uint32_t least_of[] = { 0, 0, 0xa0, 0x800, 0x10000 };
	size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	uint32_t c = p[0] & (0x7fu >> n);

	if (p[0] < 0xc0 || p[0] > 0xf7 || n > len)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least_of[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	return n;
}

size_t text_unprintable(const char *s, size_t len)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t at = 0, n = 1;

	while (at < len && n > 0) {
		if (p[at] < 0x80)
			n = p[at] == '\t' || (p[at] >= ' ' && p[at] != 0x7f);
		else
			n = rune_length(p + at, len - at);
		at += n;
	}
	return at;
}

bool text_printable(const char *s, size_t len)
{
	return text_unprintable(s, len) == len;
}

static bool plain(const char *s)
{
	/* An INI file's comments begin with these, and it is in UTF-8. */
	if (!*s || *s == ';' || *s == '#' || !text_printable(s, strlen(s)))
		return false;
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || *s == 0x7f ||
		    strchr("\"'\\", *s))
			return false;
	return true;
}

/* The letter that stands for the control character C, or 0. */
static char letter_of(char c)
{
	for (size_t i = 0; i < ARRAY_SIZE(escapes); i++)
		if (escapes[i].value == c && c < ' ')
			return escapes[i].letter;
	return 0;
}

/* C where a word is quoted by QUOTE; BEFORE stands before it; ODD: it is no
 * text. */
static void quote_one(struct word *w, char c, char quote, char before,
		      bool odd)
{
	static const char hex[] = "0123456789abcdef";
	unsigned char u = (unsigned char)c;
	char letter = letter_of(c);

	if (letter || c == quote || c == '\\') {
		word_add(w, '\\');
		word_add(w, letter ? letter : c);
	} else if (odd || (before == ' ' && (c == ';' || c == '#'))) {
		word_add_string(w, "\\x");
		word_add(w, hex[u >> 4]);
		word_add(w, hex[u & 15]);
	} else {
		word_add(w, c);
	}
}

/* In the quotes of which the word itself has less. */
static void quote_word(struct word *w, const char *s)
{
	size_t len = strlen(s), odd = text_unprintable(s, len);
	int doubles = 0;
	char quote;

	for (const char *p = s; *p; p++)
		doubles += (*p == '"') - (*p == '\'');
	quote = doubles > 0 ? '\'' : '"';
	word_add(w, quote);
	for (size_t i = 0; i < len; i++) {
		quote_one(w, s[i], quote, i ? s[i - 1] : quote, i == odd);
		if (i == odd)
			odd += 1 + text_unprintable(s + i + 1, len - i - 1);
	}
	word_add(w, quote);
}

char *text_join(const struct strv *sv)
{
	struct word w = { 0 };

	for (size_t i = 0; i < sv->n; i++) {
		if (i > 0)
			word_add(&w, ' ');
		if (plain(sv->v[i]))
			word_add_string(&w, sv->v[i]);
		else
			quote_word(&w, sv->v[i]);
	}
	return w.s ? w.s : xstrdup("");
}

/* No key, option or command is longer. */
#define NEAREST_MAX 64

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* How many letters must be added, taken, changed or swapped with the next to
 * make B of A; lengths up to NEAREST_MAX. */
static size_t distance(const char *a, size_t na, const char *b, size_t nb)
{
	size_t rows[3][NEAREST_MAX + 1];
	size_t *before = rows[0], *above = rows[1], *row = rows[2], *t;

	for (size_t j = 0; j <= nb; j++)
		above[j] = before[j] = j;
	for (size_t i = 1; i <= na; i++) {
		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			row[j] = above[j - 1] + (a[i - 1] != b[j - 1]);
			row[j] = least(row[j], above[j] + 1);
			row[j] = least(row[j], row[j - 1] + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1])
				row[j] = least(row[j], before[j - 2] + 1);
		}
		t = before;
		before = above;
		above = row;
		row = t;
	}
	return above[nb];
}

const char *text_nearest(const char *s, const char *const *words, size_t n)
{
	size_t len = strlen(s), best = 4, d;
	const char *found = NULL;

	if (len > NEAREST_MAX)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		size_t other = strlen(words[i]);

		if (other > NEAREST_MAX)
			continue;
		d = distance(s, len, words[i], other);
		if (d < best && 2 * d < len) {
			best = d;
			found = words[i];
		}
	}
	return found;
}

char *text_hex(const void *p, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *b = p;
	char *s = xmalloc(2 * len + 1);

	for (size_t i = 0; i < len; i++) {
		s[2 * i] = hex[b[i] >> 4];
		s[2 * i + 1] = hex[b[i] & 15];
	}
	s[2 * len] = '\0';
	return s;
}
