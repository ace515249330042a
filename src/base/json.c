/*
 * json - a thin layer over jansson; see the header.
 */
#include "base/json.h"

#include <string.h>

/* The replacement character. */
#define ODD "\xef\xbf\xbd"

void json_setup(void)
{
	json_set_alloc_funcs(xmalloc, free);
}

/* How many bytes the character at S has, of at most LEFT; 0: it is none. */
static size_t character(const unsigned char *s, size_t left)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	uint32_t c = n == 1 ? s[0] : s[0] & (0xff >> (n + 1));
	static const uint32_t least[] = { 0, 1, 0x80, 0x800, 0x10000 };

	if (n > left || (s[0] >= 0x80 && s[0] < 0xc2) || s[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	return n;
}

json_t *json_safe(const char *s, size_t len)
{
	CLEANUP(freep) char *out = xmalloc(len * 3 + 1);
	size_t o = 0;

	for (size_t i = 0; i < len;) {
		size_t n = character((const unsigned char *)s + i, len - i);

		if (n > 0) {
			memcpy(out + o, s + i, n);
			i += n;
			o += n;
		} else {
			memcpy(out + o, ODD, 3);
			i++;
			o += 3;
		}
	}
	return json_stringn_nocheck(out, o);
}

json_t *json_safe_text(const char *s)
{
	return s ? json_safe(s, strlen(s)) : json_null();
}

void json_put(json_t *object, const char *key, json_t *value)
{
	json_object_set_new_nocheck(object, key, value);
}

void json_put_text(json_t *object, const char *key, const char *text)
{
	json_put(object, key, json_safe_text(text));
}

void json_put_int(json_t *object, const char *key, int64_t value)
{
	json_put(object, key, json_integer(value));
}

void json_put_bool(json_t *object, const char *key, bool value)
{
	json_put(object, key, json_boolean(value));
}

const char *json_get_text(const json_t *object, const char *key,
			  const char *other)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : other;
}

int64_t json_get_int(const json_t *object, const char *key, int64_t other)
{
	const json_t *v = json_object_get(object, key);

	return json_is_integer(v) ? json_integer_value(v) : other;
}

bool json_get_bool(const json_t *object, const char *key, bool other)
{
	const json_t *v = json_object_get(object, key);

	return json_is_boolean(v) ? json_is_true(v) : other;
}

double json_get_real(const json_t *object, const char *key, double other)
{
	const json_t *v = json_object_get(object, key);

	return json_is_number(v) ? json_number_value(v) : other;
}

char *json_line(const json_t *value, size_t *len)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

	if (!text)
		text = xstrdup("null");
	if (len)
		*len = strlen(text);
	return text;
}

json_t *json_parse(const char *text, size_t len, char **why)
{
	json_error_t error;
	json_t *value = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);

	if (!value && why)
		*why = xasprintf("at byte %d: %s", error.position, error.text);
	return value;
}
