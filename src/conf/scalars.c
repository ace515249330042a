/*
 * scalars - the types of keys whose value is a number, a word of a list, or a
 * small struct of such.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "conf/types.h"

#define UNUSED(in) (void)(in)

/* --- numbers ------------------------------------------------------------- */

int parse_duration(const struct key *k, void *base, const char *text,
		   const struct value_in *in, char **why)
{
	int64_t ms, number;
	int r = text_duration(text, &ms);

	UNUSED(in);
	if (r == 0 && k->max && (ms < k->min || ms > k->max)) {
		char low[32], high[32];

		*why = xasprintf("'%s' is not between %s and %s", text,
				 text_duration_print(k->min, low, sizeof(low)),
				 text_duration_print(k->max, high,
						     sizeof(high)));
		return -EINVAL;
	}
	if (r == 0) {
		*(int64_t *)key_field(k, base) = ms;
		return 0;
	}
	if (r == -ERANGE)
		*why = xasprintf("'%s' is too long", text);
	else if (text_number(text, 0, INT64_MAX, &number) == 0)
		*why = xasprintf("'%s' has no unit; write %ss, %sms, %smin, "
				 "%sh or %sd", text, text, text, text, text,
				 text);
	else
		*why = xasprintf("'%s' is no duration (500ms, 30s, 5min, 2h, "
				 "1d; 0 is off)", text);
	return -EINVAL;
}

void print_duration(const struct key *k, const void *base,
		    struct strv *out)
{
	char buf[32];

	strv_push(out, xstrdup(text_duration_print(
			       *(int64_t *)key_field(k, base), buf,
			       sizeof(buf))));
}

int parse_number(const struct key *k, void *base, const char *text,
		 const struct value_in *in, char **why)
{
	int64_t n;

	UNUSED(in);
	if (text_number(text, k->min, k->max, &n) < 0) {
		*why = xasprintf("'%s' is no number from %lld to %lld", text,
				 (long long)k->min, (long long)k->max);
		return -EINVAL;
	}
	*(int64_t *)key_field(k, base) = n;
	return 0;
}

void print_number(const struct key *k, const void *base,
		  struct strv *out)
{
	int64_t n = *(int64_t *)key_field(k, base);

	if (n >= k->min)	/* below it: as usher's own */
		strv_pushf(out, "%lld", (long long)n);
}

static int size_why(const char *text, char **why)
{
	*why = xasprintf("'%s' is no size (64K, 1M, 2G)", text);
	return -EINVAL;
}

int parse_size(const struct key *k, void *base, const char *text,
	       const struct value_in *in, char **why)
{
	uint64_t n;

	UNUSED(in);
	if (text_size(text, &n) < 0)
		return size_why(text, why);
	*(uint64_t *)key_field(k, base) = n;
	return 0;
}

void print_size(const struct key *k, const void *base,
		struct strv *out)
{
	char buf[32];

	strv_push(out, xstrdup(text_size_print(*(uint64_t *)key_field(k, base),
					       buf, sizeof(buf))));
}

int parse_bytes(const struct key *k, void *base, const char *text,
		const struct value_in *in, char **why)
{
	uint64_t n;

	UNUSED(in);
	if (text_size(text, &n) < 0)
		return size_why(text, why);
	if (n < (uint64_t)k->min || n > (uint64_t)k->max) {
		*why = xasprintf("'%s' is not between %lld and %lld bytes",
				 text, (long long)k->min, (long long)k->max);
		return -EINVAL;
	}
	*(int64_t *)key_field(k, base) = (int64_t)n;
	return 0;
}

int parse_umask(const struct key *k, void *base, const char *text,
		const struct value_in *in, char **why)
{
	size_t n = strspn(text, "01234567");

	UNUSED(in);
	if (n == 0 || text[n] || strtol(text, NULL, 8) > 0777) {
		*why = xasprintf("'%s' is no umask in octal (022, 077)", text);
		return -EINVAL;
	}
	*(int64_t *)key_field(k, base) = strtol(text, NULL, 8);
	return 0;
}

void print_umask(const struct key *k, const void *base,
		 struct strv *out)
{
	int64_t mask = *(int64_t *)key_field(k, base);

	if (mask >= 0)
		strv_pushf(out, "%03llo", (unsigned long long)mask);
}

int parse_frame(const struct key *k, void *base, const char *text,
		const struct value_in *in, char **why)
{
	int64_t n = 0;

	UNUSED(in);
	if (strcmp(text, "text") != 0 &&
	    (strncmp(text, "size:", 5) != 0 ||
	     text_number(text + 5, 1, 16000, &n) < 0)) {
		*why = xasprintf("'%s' is neither 'text' nor size:N, N from 1 "
				 "to 16000", text);
		return -EINVAL;
	}
	*(int64_t *)key_field(k, base) = n;
	return 0;
}

void print_frame(const struct key *k, const void *base,
		 struct strv *out)
{
	int64_t n = *(int64_t *)key_field(k, base);

	if (n)
		strv_pushf(out, "size:%lld", (long long)n);
	else
		strv_push(out, xstrdup("text"));
}

bool same_int64(const struct key *k, const void *a, const void *b)
{
	return *(int64_t *)key_field(k, a) == *(int64_t *)key_field(k, b);
}

void free_int64(const struct key *k, void *base)
{
	*(int64_t *)key_field(k, base) = 0;
}

/* --- words --------------------------------------------------------------- */

int parse_bool(const struct key *k, void *base, const char *text,
	       const struct value_in *in, char **why)
{
	bool b;

	UNUSED(in);
	if (text_bool(text, &b) < 0) {
		*why = xasprintf("'%s' is neither yes nor no", text);
		return -EINVAL;
	}
	*(bool *)key_field(k, base) = b;
	return 0;
}

void print_bool(const struct key *k, const void *base,
		struct strv *out)
{
	strv_push(out, xstrdup(*(bool *)key_field(k, base) ? "yes" : "no"));
}

bool same_bool(const struct key *k, const void *a, const void *b)
{
	return *(bool *)key_field(k, a) == *(bool *)key_field(k, b);
}

void free_bool(const struct key *k, void *base)
{
	*(bool *)key_field(k, base) = false;
}

/* "a, b or c" */
static char *list_words(const struct key_word *words)
{
	char *s = xstrdup(words->word);

	for (words++; words->word; words++) {
		CLEANUP(freep) char *before = s;

		s = xasprintf("%s%s%s", before, words[1].word ? ", " : " or ",
			      words->word);
	}
	return s;
}

int parse_word(const struct key *k, void *base, const char *text,
	       const struct value_in *in, char **why)
{
	CLEANUP(freep) char *all = NULL;

	UNUSED(in);
	for (const struct key_word *w = k->words; w->word; w++) {
		if (strcmp(w->word, text) == 0) {
			*(int *)key_field(k, base) = w->value;
			return 0;
		}
	}
	all = list_words(k->words);
	*why = xasprintf("'%s' is none of %s", text, all);
	return -EINVAL;
}

void print_word(const struct key *k, const void *base,
		struct strv *out)
{
	const char *w = key_word(k->words, *(int *)key_field(k, base));

	if (w)
		strv_push(out, xstrdup(w));
}

bool same_int(const struct key *k, const void *a, const void *b)
{
	return *(int *)key_field(k, a) == *(int *)key_field(k, b);
}

void free_int(const struct key *k, void *base)
{
	*(int *)key_field(k, base) = 0;
}

int parse_signal(const struct key *k, void *base, const char *text,
		 const struct value_in *in, char **why)
{
	int signo;

	UNUSED(in);
	if (text_signal(text, &signo) < 0) {
		*why = xasprintf("'%s' is no signal (SIGTERM, INT, 15)", text);
		return -EINVAL;
	}
	*(int *)key_field(k, base) = signo;
	return 0;
}

void print_signal(const struct key *k, const void *base,
		  struct strv *out)
{
	int signo = *(int *)key_field(k, base);
	const char *name = text_signal_name(signo);

	if (name)
		strv_push(out, xstrdup(name));
	else
		strv_pushf(out, "%d", signo);
}

/* --- small structs ------------------------------------------------------- */

int parse_range(const struct key *k, void *base, const char *text,
		const struct value_in *in, char **why)
{
	struct text_range range;

	UNUSED(in);
	if (text_range(text, &range) < 0 || range.max == 0) {
		*why = xasprintf("'%s' is neither N nor MIN-MAX, MAX at least "
				 "1", text);
		return -EINVAL;
	}
	if (range.max > 65536) {
		*why = xasprintf("'%s': more than 65536", text);
		return -EINVAL;
	}
	*(struct text_range *)key_field(k, base) = range;
	return 0;
}

void print_range(const struct key *k, const void *base,
		 struct strv *out)
{
	const struct text_range *r = key_field(k, base);

	if (r->min == r->max)
		strv_pushf(out, "%u", r->min);
	else
		strv_pushf(out, "%u-%u", r->min, r->max);
}

bool same_range(const struct key *k, const void *a, const void *b)
{
	const struct text_range *x = key_field(k, a), *y = key_field(k, b);

	return x->min == y->min && x->max == y->max;
}

void free_range(const struct key *k, void *base)
{
	*(struct text_range *)key_field(k, base) = (struct text_range){ 0 };
}

int parse_rate(const struct key *k, void *base, const char *text,
	       const struct value_in *in, char **why)
{
	struct text_rate rate;

	UNUSED(in);
	if (text_rate(text, &rate) < 0) {
		*why = xasprintf("'%s' is no rate (100/s, 60/min, 100/s "
				 "burst=500)", text);
		return -EINVAL;
	}
	*(struct text_rate *)key_field(k, base) = rate;
	return 0;
}

void print_rate(const struct key *k, const void *base,
		struct strv *out)
{
	const struct text_rate *r = key_field(k, base);
	char buf[64];

	if (r->per_second > 0)
		strv_push(out, xstrdup(text_rate_print(r, buf, sizeof(buf))));
}

bool same_rate(const struct key *k, const void *a, const void *b)
{
	const struct text_rate *x = key_field(k, a), *y = key_field(k, b);

	return x->per_second == y->per_second && x->burst == y->burst;
}

void free_rate(const struct key *k, void *base)
{
	*(struct text_rate *)key_field(k, base) = (struct text_rate){ 0 };
}

static int parse_one_limit(const struct key *k, const char *text, rlim_t *out)
{
	int64_t n;
	uint64_t size;

	if (strcmp(text, "unlimited") == 0 || strcmp(text, "infinity") == 0)
		*out = RLIM_INFINITY;
	else if (k->type == T_LIMIT_SIZE && text_size(text, &size) == 0)
		*out = size;
	else if (k->type == T_LIMIT &&
		 text_number(text, 0, INT64_MAX, &n) == 0)
		*out = (rlim_t)n;
	else
		return -EINVAL;
	return 0;
}

int parse_limit(const struct key *k, void *base, const char *text,
		const struct value_in *in, char **why)
{
	size_t n = strcspn(text, ":");
	CLEANUP(freep) char *soft = xstrndup(text, n);
	const char *hard = text[n] ? text + n + 1 : soft;
	struct rlimit value;

	UNUSED(in);
	if (parse_one_limit(k, soft, &value.rlim_cur) < 0 ||
	    parse_one_limit(k, hard, &value.rlim_max) < 0) {
		*why = xasprintf("'%s' is no limit: SOFT:HARD, each a %s or "
				 "'unlimited'", text,
				 k->type == T_LIMIT ? "number" : "size");
		return -EINVAL;
	}
	if (value.rlim_cur > value.rlim_max) {
		*why = xasprintf("'%s': the soft limit is over the hard one",
				 text);
		return -EINVAL;
	}
	*(struct conf_limit *)key_field(k, base) =
		(struct conf_limit){ .set = true, .value = value };
	return 0;
}

static const char *limit_text(const struct key *k, rlim_t n, char *buf,
			      size_t len)
{
	if (n == RLIM_INFINITY)
		return "unlimited";
	if (k->type == T_LIMIT_SIZE)
		return text_size_print(n, buf, len);
	snprintf(buf, len, "%llu", (unsigned long long)n);
	return buf;
}

void print_limit(const struct key *k, const void *base,
		 struct strv *out)
{
	const struct conf_limit *l = key_field(k, base);
	char soft[32], hard[32];

	if (l->set)
		strv_pushf(out, "%s:%s",
			   limit_text(k, l->value.rlim_cur, soft,
				      sizeof(soft)),
			   limit_text(k, l->value.rlim_max, hard,
				      sizeof(hard)));
}

bool same_limit(const struct key *k, const void *a, const void *b)
{
	const struct conf_limit *x = key_field(k, a), *y = key_field(k, b);

	return x->set == y->set &&
	       (!x->set || (x->value.rlim_cur == y->value.rlim_cur &&
			    x->value.rlim_max == y->value.rlim_max));
}

void free_limit(const struct key *k, void *base)
{
	*(struct conf_limit *)key_field(k, base) = (struct conf_limit){ 0 };
}
