/*
 * json_out - JSON written as it goes; see the header.
 */
#include "base/json_out.h"

#include <math.h>
#include <string.h>

#include "base/json.h"

static void put(struct json_out *o, const char *text, size_t len)
{
	fwrite_unlocked(text, 1, len, o->f);
}

static void begin(struct json_out *o, const char *key)
{
	if (o->some)
		putc_unlocked(',', o->f);
	o->some = true;
	if (!key)
		return;
	putc_unlocked('"', o->f);
	put(o, key, strlen(key));
	put(o, "\":", 2);
}

void json_out_open(struct json_out *o, const char *key, char bracket)
{
	begin(o, key);
	putc_unlocked(bracket, o->f);
	o->some = false;
}

void json_out_close(struct json_out *o, char bracket)
{
	putc_unlocked(bracket, o->f);
	o->some = true;
}

void json_out_int(struct json_out *o, const char *key, int64_t value)
{
	uint64_t left = value < 0 ? -(uint64_t)value : (uint64_t)value;
	char digits[24];
	size_t at = sizeof(digits);

	begin(o, key);
	do
		digits[--at] = (char)('0' + left % 10);
	while (left /= 10);
	if (value < 0)
		digits[--at] = '-';
	put(o, digits + at, sizeof(digits) - at);
}

/* Always with a point or an exponent: a reader that tells reals from integers
 * sees the same kind each time. */
void json_out_real(struct json_out *o, const char *key, double value)
{
	char text[40];

	if (!isfinite(value))
		value = 0;
	if (value == 0) {
		begin(o, key);
		put(o, "0.0", 3);
		return;
	}
	snprintf(text, sizeof(text), "%.17g", value);
	if (!strpbrk(text, ".e"))
		strcat(text, ".0");
	begin(o, key);
	put(o, text, strlen(text));
}

void json_out_bool(struct json_out *o, const char *key, bool value)
{
	begin(o, key);
	if (value)
		put(o, "true", 4);
	else
		put(o, "false", 5);
}

/* Nothing that JSON writes in another way. */
static bool plain(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] < ' ' || text[i] > '~' || text[i] == '"' ||
		    text[i] == '\\')
			return false;
	return true;
}

void json_out_text(struct json_out *o, const char *key, const char *text)
{
	size_t len = text ? strlen(text) : 0;

	begin(o, key);
	if (!text) {
		put(o, "null", 4);
	} else if (plain(text, len)) {
		putc_unlocked('"', o->f);
		put(o, text, len);
		putc_unlocked('"', o->f);
	} else {
		CLEANUP(json_decrefp) json_t *safe = json_safe(text, len);
		CLEANUP(freep) char *line = json_line(safe, &len);

		put(o, line, len);
	}
}
