/*
 * values - one function a type of key; the table of types is at the end.
 *
 * A parser leaves the field alone when it fails, and says in WHY what was
 * there and what would do. What a value means together with others is
 * conf/derive.c's business.
 */
#include "conf/values.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "conf/lists.h"

#define UNUSED(in) (void)(in)

/* --- numbers ------------------------------------------------------------- */

static int parse_duration(const struct key *k, void *base, const char *text,
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

static void print_duration(const struct key *k, const void *base,
			   struct strv *out)
{
	char buf[32];

	strv_push(out, xstrdup(text_duration_print(
			       *(int64_t *)key_field(k, base), buf,
			       sizeof(buf))));
}

static int parse_number(const struct key *k, void *base, const char *text,
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

static void print_number(const struct key *k, const void *base,
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

static int parse_size(const struct key *k, void *base, const char *text,
		      const struct value_in *in, char **why)
{
	uint64_t n;

	UNUSED(in);
	if (text_size(text, &n) < 0)
		return size_why(text, why);
	*(uint64_t *)key_field(k, base) = n;
	return 0;
}

static void print_size(const struct key *k, const void *base,
		       struct strv *out)
{
	char buf[32];

	strv_push(out, xstrdup(text_size_print(*(uint64_t *)key_field(k, base),
					       buf, sizeof(buf))));
}

static int parse_bytes(const struct key *k, void *base, const char *text,
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

static int parse_umask(const struct key *k, void *base, const char *text,
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

static void print_umask(const struct key *k, const void *base,
			struct strv *out)
{
	int64_t mask = *(int64_t *)key_field(k, base);

	if (mask >= 0)
		strv_pushf(out, "%03llo", (unsigned long long)mask);
}

static int parse_frame(const struct key *k, void *base, const char *text,
		       const struct value_in *in, char **why)
{
	int64_t n = 0;

	UNUSED(in);
	if (strcmp(text, "text") != 0 &&
	    (strncmp(text, "size:", 5) != 0 ||
	     text_number(text + 5, 1, 65536, &n) < 0)) {
		*why = xasprintf("'%s' is neither 'text' nor size:N, N from 1 "
				 "to 65536", text);
		return -EINVAL;
	}
	*(int64_t *)key_field(k, base) = n;
	return 0;
}

static void print_frame(const struct key *k, const void *base,
			struct strv *out)
{
	int64_t n = *(int64_t *)key_field(k, base);

	if (n)
		strv_pushf(out, "size:%lld", (long long)n);
	else
		strv_push(out, xstrdup("text"));
}

static bool same_int64(const struct key *k, const void *a, const void *b)
{
	return *(int64_t *)key_field(k, a) == *(int64_t *)key_field(k, b);
}

static void free_int64(const struct key *k, void *base)
{
	*(int64_t *)key_field(k, base) = 0;
}

/* --- words --------------------------------------------------------------- */

static int parse_bool(const struct key *k, void *base, const char *text,
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

static void print_bool(const struct key *k, const void *base,
		       struct strv *out)
{
	strv_push(out, xstrdup(*(bool *)key_field(k, base) ? "yes" : "no"));
}

static bool same_bool(const struct key *k, const void *a, const void *b)
{
	return *(bool *)key_field(k, a) == *(bool *)key_field(k, b);
}

static void free_bool(const struct key *k, void *base)
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

static int parse_word(const struct key *k, void *base, const char *text,
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

static void print_word(const struct key *k, const void *base,
		       struct strv *out)
{
	const char *w = key_word(k->words, *(int *)key_field(k, base));

	if (w)
		strv_push(out, xstrdup(w));
}

static bool same_int(const struct key *k, const void *a, const void *b)
{
	return *(int *)key_field(k, a) == *(int *)key_field(k, b);
}

static void free_int(const struct key *k, void *base)
{
	*(int *)key_field(k, base) = 0;
}

static int parse_signal(const struct key *k, void *base, const char *text,
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

static void print_signal(const struct key *k, const void *base,
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

static int parse_range(const struct key *k, void *base, const char *text,
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

static void print_range(const struct key *k, const void *base,
			struct strv *out)
{
	const struct text_range *r = key_field(k, base);

	if (r->min == r->max)
		strv_pushf(out, "%u", r->min);
	else
		strv_pushf(out, "%u-%u", r->min, r->max);
}

static bool same_range(const struct key *k, const void *a, const void *b)
{
	const struct text_range *x = key_field(k, a), *y = key_field(k, b);

	return x->min == y->min && x->max == y->max;
}

static void free_range(const struct key *k, void *base)
{
	*(struct text_range *)key_field(k, base) = (struct text_range){ 0 };
}

static int parse_rate(const struct key *k, void *base, const char *text,
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

static void print_rate(const struct key *k, const void *base,
		       struct strv *out)
{
	const struct text_rate *r = key_field(k, base);
	char buf[64];

	if (r->per_second > 0)
		strv_push(out, xstrdup(text_rate_print(r, buf, sizeof(buf))));
}

static bool same_rate(const struct key *k, const void *a, const void *b)
{
	const struct text_rate *x = key_field(k, a), *y = key_field(k, b);

	return x->per_second == y->per_second && x->burst == y->burst;
}

static void free_rate(const struct key *k, void *base)
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

static int parse_limit(const struct key *k, void *base, const char *text,
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

static void print_limit(const struct key *k, const void *base,
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

static bool same_limit(const struct key *k, const void *a, const void *b)
{
	const struct conf_limit *x = key_field(k, a), *y = key_field(k, b);

	return x->set == y->set &&
	       (!x->set || (x->value.rlim_cur == y->value.rlim_cur &&
			    x->value.rlim_max == y->value.rlim_max));
}

static void free_limit(const struct key *k, void *base)
{
	*(struct conf_limit *)key_field(k, base) = (struct conf_limit){ 0 };
}

/* --- ready --------------------------------------------------------------- */

static const struct key_word readies[] = {
	{ "exec", READY_EXEC }, { "notify", READY_NOTIFY },
	{ "status", READY_STATUS }, { "probe", READY_PROBE }, { 0 },
};

static int parse_ready(const struct key *k, void *base, const char *text,
		       const struct value_in *in, char **why)
{
	struct conf_ready_value v = { .probe.kind = ADDR_FD };
	int64_t n;

	UNUSED(in);
	for (const struct key_word *w = readies; w->word; w++) {
		if (strcmp(w->word, text) == 0) {
			v.kind = (enum conf_ready)w->value;
			goto good;
		}
	}
	if (strncmp(text, "fd:", 3) == 0 &&
	    text_number(text + 3, 3, 255, &n) == 0) {
		v.kind = READY_FD;
		v.fd = (int)n;
	} else if (strncmp(text, "after:", 6) == 0 &&
		   text_duration(text + 6, &v.after) == 0) {
		v.kind = READY_AFTER;
	} else if (strncmp(text, "probe:", 6) == 0) {
		if (addr_parse(text + 6, &v.probe, why) < 0)
			return -EINVAL;
		if (v.probe.kind != ADDR_TCP && v.probe.kind != ADDR_UNIX) {
			*why = xasprintf("'%s': a probe connects to tcp: or "
					 "unix:", text);
			addr_free(&v.probe);
			return -EINVAL;
		}
		v.kind = READY_PROBE;
	} else {
		*why = xasprintf("'%s' is none of exec, notify, fd:N (N from 3 "
				 "to 255), status, probe:ADDRESS, after:TIME",
				 text);
		return -EINVAL;
	}
good:
	*(struct conf_ready_value *)key_field(k, base) = v;
	return 0;
}

static void print_ready(const struct key *k, const void *base,
			struct strv *out)
{
	const struct conf_ready_value *v = key_field(k, base);
	char buf[32];

	if (v->kind == READY_FD)
		strv_pushf(out, "fd:%d", v->fd);
	else if (v->kind == READY_AFTER)
		strv_pushf(out, "after:%s",
			   text_duration_print(v->after, buf, sizeof(buf)));
	else if (v->kind == READY_PROBE && v->probe.text) {
		CLEANUP(freep) char *options = value_options(&v->probe.opt);

		strv_pushf(out, "probe:%s%s", v->probe.text, options);
	} else {
		strv_push(out, xstrdup(key_word(readies, (int)v->kind)));
	}
}

static bool same_ready(const struct key *k, const void *a, const void *b)
{
	const struct conf_ready_value *x = key_field(k, a);
	const struct conf_ready_value *y = key_field(k, b);

	if (x->kind != y->kind || x->fd != y->fd || x->after != y->after)
		return false;
	if (!x->probe.text || !y->probe.text)
		return x->probe.text == y->probe.text;
	return same_addr(&x->probe, &y->probe);
}

static void free_ready(const struct key *k, void *base)
{
	struct conf_ready_value *v = key_field(k, base);

	if (v->probe.text)
		addr_free(&v->probe);
	*v = (struct conf_ready_value){ .probe.kind = ADDR_FD };
}

/* --- strings ------------------------------------------------------------- */

static void set_string(const struct key *k, void *base, char *s)
{
	char **field = key_field(k, base);

	free(*field);
	*field = s;
}

static int parse_string(const struct key *k, void *base, const char *text,
			const struct value_in *in, char **why)
{
	UNUSED(in);
	UNUSED(why);
	set_string(k, base, xstrdup(text));
	return 0;
}

static int parse_path(const struct key *k, void *base, const char *text,
		      const struct value_in *in, char **why)
{
	UNUSED(in);
	if (*text != '/') {
		*why = xasprintf("'%s' is no absolute path", text);
		return -EINVAL;
	}
	set_string(k, base, xstrdup(text));
	return 0;
}

static void print_string(const struct key *k, const void *base,
			 struct strv *out)
{
	const char *s = *(char **)key_field(k, base);

	if (s)
		strv_push(out, xstrdup(s));
}

static bool same_string(const struct key *k, const void *a, const void *b)
{
	return same_text(*(char **)key_field(k, a), *(char **)key_field(k, b));
}

static void free_string(const struct key *k, void *base)
{
	set_string(k, base, NULL);
}

static const char escapes[] = "n\nr\rt\t\\\\";

static int parse_message(const struct key *k, void *base, const char *text,
			 const struct value_in *in, char **why)
{
	CLEANUP(freep) char *out = xmalloc(strlen(text) + 1);
	char *to = out;

	UNUSED(in);
	for (; *text; text++) {
		const char *e = escapes;

		if (*text != '\\') {
			*to++ = *text;
			continue;
		}
		text++;
		while (*e && *e != *text)
			e += 2;
		if (!*e) {
			*why = xasprintf("'\\%.1s' is none of \\n, \\r, \\t, "
					 "\\\\", text);
			return -EINVAL;
		}
		*to++ = e[1];
	}
	*to = '\0';
	set_string(k, base, TAKE(out));
	return 0;
}

static void print_message(const struct key *k, const void *base,
			  struct strv *out)
{
	const char *s = *(char **)key_field(k, base);
	char *text, *to;

	if (!s)
		return;
	text = to = xmalloc(strlen(s) * 2 + 1);
	for (; *s; s++) {
		const char *e = escapes;

		while (*e && e[1] != *s)
			e += 2;
		if (*e) {
			*to++ = '\\';
			*to++ = *e;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
	strv_push(out, text);
}

/* The program's own words: a path, and what argv[0] is. */
static int check_program(const char *path, char **why)
{
	CLEANUP(freep) char *full = NULL;

	if (*path == '/')
		return 0;
	if (!strchr(path, '/'))
		full = world_on_path(path);
	if (full)
		*why = xasprintf("'%s' has no path; %s is on PATH", path,
				 full);
	else
		*why = xasprintf("'%s' has no absolute path", path);
	return -EINVAL;
}

static int parse_exec(const struct key *k, void *base, const char *text,
		      const struct value_in *in, char **why)
{
	struct conf_service *s = base;
	struct strv words = { 0 };
	bool at = *text == '@';
	int r = text_split(text + at, &words);

	UNUSED(in);
	if (r < 0)
		*why = xasprintf("a quote without its end");
	else if (words.n < 1u + at)
		*why = xasprintf(at ? "after '@' come the program's path and "
				      "its name"
				    : "no program");
	else
		r = check_program(words.v[0], why);
	if (*why) {
		strv_free(&words);
		return -EINVAL;
	}
	set_string(k, base, xstrdup(text));
	free(s->program);
	s->program = xstrdup(words.v[0]);
	strv_free(&s->argv);
	for (size_t i = at; i < words.n; i++)
		strv_push(&s->argv, xstrdup(words.v[i]));
	strv_free(&words);
	return r;
}

static void free_exec(const struct key *k, void *base)
{
	struct conf_service *s = base;

	set_string(k, base, NULL);
	free(TAKE(s->program));
	strv_free(&s->argv);
}

static int parse_builtin(const struct key *k, void *base, const char *text,
			 const struct value_in *in, char **why)
{
	struct conf_service *s = base;

	UNUSED(in);
	UNUSED(k);
	if (strcmp(text, "echo") == 0) {
		s->builtin = BUILTIN_ECHO;
	} else if (strcmp(text, "discard") == 0) {
		s->builtin = BUILTIN_DISCARD;
	} else if (strncmp(text, "agent ", 6) == 0) {
		s->builtin = BUILTIN_AGENT;
		free(s->agent_of);
		s->agent_of = xstrdup(text + 6 + strspn(text + 6, " \t"));
	} else {
		*why = xasprintf("'%s' is none of echo, discard, agent SERVICE",
				 text);
		return -EINVAL;
	}
	s->handler = HANDLER_BUILTIN;
	return 0;
}

static void print_builtin(const struct key *k, const void *base,
			  struct strv *out)
{
	const struct conf_service *s = base;

	UNUSED(k);
	if (s->handler != HANDLER_BUILTIN)
		return;
	if (s->builtin == BUILTIN_AGENT)
		strv_pushf(out, "agent %s", s->agent_of);
	else
		strv_push(out, xstrdup(s->builtin == BUILTIN_ECHO ? "echo"
								  : "discard"));
}

static bool same_builtin(const struct key *k, const void *a, const void *b)
{
	const struct conf_service *x = a, *y = b;

	UNUSED(k);
	return x->builtin == y->builtin && same_text(x->agent_of, y->agent_of);
}

static void free_builtin(const struct key *k, void *base)
{
	struct conf_service *s = base;

	UNUSED(k);
	free(TAKE(s->agent_of));
	s->builtin = BUILTIN_ECHO;
}

/* --- the table ----------------------------------------------------------- */

static const struct {
	parse_fn *parse;
	print_fn *print;
	same_fn *same;
	free_fn *free;
} types[] = {
	[T_ADDRS] = { parse_addrs, print_addrs, same_addrs, free_addrs },
	[T_CONTROL] = { parse_control, print_control, same_control,
			free_control },
	[T_DURATION] = { parse_duration, print_duration, same_int64,
			 free_int64 },
	[T_NUMBER] = { parse_number, print_number, same_int64, free_int64 },
	[T_SIZE] = { parse_size, print_size, same_int64, free_int64 },
	[T_BYTES] = { parse_bytes, print_size, same_int64, free_int64 },
	[T_BOOL] = { parse_bool, print_bool, same_bool, free_bool },
	[T_WORD] = { parse_word, print_word, same_int, free_int },
	[T_RANGE] = { parse_range, print_range, same_range, free_range },
	[T_RATE] = { parse_rate, print_rate, same_rate, free_rate },
	[T_STRING] = { parse_string, print_string, same_string, free_string },
	[T_MESSAGE] = { parse_message, print_message, same_string,
			free_string },
	[T_PATH] = { parse_path, print_string, same_string, free_string },
	[T_EXEC] = { parse_exec, print_string, same_string, free_exec },
	[T_BUILTIN] = { parse_builtin, print_builtin, same_builtin,
			free_builtin },
	[T_READY] = { parse_ready, print_ready, same_ready, free_ready },
	[T_SIGNAL] = { parse_signal, print_signal, same_int, free_int },
	[T_RULES] = { parse_rules, print_rules, same_rules, free_rules },
	[T_GRANTS] = { parse_grants, print_grants, same_grants, free_grants },
	[T_LEVELS] = { parse_grants, print_grants, same_grants, free_grants },
	[T_CIDRS] = { parse_cidrs, print_cidrs, same_cidrs, free_cidrs },
	[T_LIMIT] = { parse_limit, print_limit, same_limit, free_limit },
	[T_LIMIT_SIZE] = { parse_limit, print_limit, same_limit, free_limit },
	[T_ASSIGN] = { parse_assign, print_assign, same_strv, free_strv },
	[T_NAMES] = { parse_names, print_strv, same_strv, free_strv },
	[T_PATHS] = { parse_paths, print_strv, same_strv, free_strv },
	[T_GLOBS] = { parse_globs, print_strv, same_strv, free_strv },
	[T_UMASK] = { parse_umask, print_umask, same_int64, free_int64 },
	[T_FRAME] = { parse_frame, print_frame, same_int64, free_int64 },
};

int value_parse(const struct key *k, void *base, const char *text,
		const struct value_in *in, char **why)
{
	*why = NULL;
	if (!*text) {
		*why = xasprintf("no value");
		return -EINVAL;
	}
	return types[k->type].parse(k, base, text, in, why);
}

void value_print(const struct key *k, const void *base, struct strv *out)
{
	types[k->type].print(k, base, out);
}

bool value_same(const struct key *k, const void *a, const void *b)
{
	return types[k->type].same(k, a, b);
}

void value_free(const struct key *k, void *base)
{
	types[k->type].free(k, base);
}
