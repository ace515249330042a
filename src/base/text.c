/*
 * text - values: durations, sizes, numbers, ranges, rates, signals.
 *
 * Each parser takes its whole string or refuses it: no unit is guessed, no
 * sign and no blank is skipped. Words and lines are in text_words.c.
 */
#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* A century: what is longer is a mistake, and sums of times don't overflow. */
#define DURATION_MAX (INT64_C(36525) * 24 * 3600 * 1000)

struct unit {
	const char *name;
	uint64_t factor;
};

/* The largest first, for printing. */
static const struct unit durations[] = {
	{ "d", UINT64_C(24) * 3600 * 1000 },
	{ "h", 3600 * 1000 },
	{ "min", 60 * 1000 },
	{ "s", 1000 },
	{ "ms", 1 },
};

static const struct unit sizes[] = {
	{ "T", UINT64_C(1) << 40 },
	{ "G", 1 << 30 },
	{ "M", 1 << 20 },
	{ "K", 1 << 10 },
	{ "", 1 },
};

/* Seconds in what a rate is per. */
static const struct unit rates[] = {
	{ "s", 1 },
	{ "min", 60 },
	{ "h", 3600 },
	{ "d", 86400 },
};

static const struct unit *unit_find(const struct unit *u, size_t n,
				    const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(u[i].name, name) == 0)
			return &u[i];
	return NULL;
}

/* Takes the digits at *S, at least one. */
static int digits(const char **s, uint64_t *out)
{
	const char *p = *s;
	bool over = false;
	uint64_t v = 0;

	if (!isdigit((unsigned char)*p))
		return -EINVAL;
	for (; isdigit((unsigned char)*p); p++) {
		over |= __builtin_mul_overflow(v, 10, &v);
		over |= __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v);
	}
	*s = p;
	if (over)
		return -ERANGE;
	*out = v;
	return 0;
}

/* A number with one of N units; what is no number of units is -EINVAL, even
 * when it would be too large as well. */
static int scaled(const char *s, const struct unit *units, size_t n,
		  uint64_t max, uint64_t *out)
{
	const struct unit *u;
	uint64_t v = 0;
	int r = digits(&s, &v);

	if (r == -EINVAL)
		return r;
	u = unit_find(units, n, s);
	if (!u)
		return -EINVAL;
	if (r < 0 || __builtin_mul_overflow(v, u->factor, &v) || v > max)
		return -ERANGE;
	*out = v;
	return 0;
}

static const char *scaled_print(uint64_t v, const struct unit *units, size_t n,
				char *buf, size_t len)
{
	size_t i = 0;

	while (i < n - 1 && (v == 0 || v % units[i].factor))
		i++;
	snprintf(buf, len, "%" PRIu64 "%s", v / units[i].factor, units[i].name);
	return buf;
}

int text_duration(const char *s, int64_t *out)
{
	uint64_t v = 0;
	int r = 0;

	if (strcmp(s, "0") != 0)
		r = scaled(s, durations, ARRAY_SIZE(durations), DURATION_MAX,
			   &v);
	if (r < 0)
		return r;
	*out = (int64_t)v;
	return 0;
}

const char *text_duration_print(int64_t ms, char *buf, size_t len)
{
	if (ms > 0)
		return scaled_print((uint64_t)ms, durations,
				    ARRAY_SIZE(durations), buf, len);
	snprintf(buf, len, "0");
	return buf;
}

int text_size(const char *s, uint64_t *out)
{
	return scaled(s, sizes, ARRAY_SIZE(sizes), UINT64_MAX, out);
}

const char *text_size_print(uint64_t bytes, char *buf, size_t len)
{
	return scaled_print(bytes, sizes, ARRAY_SIZE(sizes), buf, len);
}

int text_bool(const char *s, bool *out)
{
	static const struct {
		const char *word;
		bool value;
	} words[] = {
		{ "yes", true },  { "no", false },
		{ "true", true }, { "false", false },
		{ "on", true },   { "off", false },
		{ "1", true },	  { "0", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcasecmp(s, words[i].word) == 0) {
			*out = words[i].value;
			return 0;
		}
	}
	return -EINVAL;
}

int text_number(const char *s, int64_t min, int64_t max, int64_t *out)
{
	bool negative = *s == '-';
	uint64_t v = 0;
	int64_t n;
	int r;

	s += negative;
	r = digits(&s, &v);
	if (r == -EINVAL || *s)
		return -EINVAL;
	if (r < 0 || v > INT64_MAX)
		return -ERANGE;
	n = negative ? -(int64_t)v : (int64_t)v;
	if (n < min || n > max)
		return -ERANGE;
	*out = n;
	return 0;
}

int text_range(const char *s, struct text_range *out)
{
	uint64_t min = 0, max;
	int r, r2 = 0;

	r = digits(&s, &min);
	if (r == -EINVAL)
		return r;
	max = min;
	if (*s == '-') {
		s++;
		r2 = digits(&s, &max);
	}
	if (r2 == -EINVAL || *s)
		return -EINVAL;
	if (r < 0 || r2 < 0 || min > UINT32_MAX || max > UINT32_MAX)
		return -ERANGE;
	if (min > max)
		return -EINVAL;
	out->min = (uint32_t)min;
	out->max = (uint32_t)max;
	return 0;
}

/* " burst=N" with any blanks before it, or nothing. */
static int burst(const char *s, double *out)
{
	static const char word[] = "burst=";
	size_t blanks = strspn(s, " \t");
	int64_t n;
	int r;

	s += blanks;
	if (!*s)
		return 0;
	if (blanks == 0 || strncmp(s, word, sizeof(word) - 1) != 0)
		return -EINVAL;
	r = text_number(s + sizeof(word) - 1, 1, UINT32_MAX, &n);
	if (r == 0)
		*out = (double)n;
	return r;
}

int text_rate(const char *s, struct text_rate *out)
{
	CLEANUP(freep) char *unit = NULL;
	const struct unit *u;
	struct text_rate v;
	uint64_t n = 0;
	size_t len;
	int r;

	if (strcmp(s, "none") == 0) {
		*out = (struct text_rate){ 0 };
		return 0;
	}
	r = digits(&s, &n);
	if (r == -EINVAL || *s++ != '/')
		return -EINVAL;
	len = strcspn(s, " \t");
	unit = xstrndup(s, len);
	u = unit_find(rates, ARRAY_SIZE(rates), unit);
	if (!u)
		return -EINVAL;
	if (r < 0 || n == 0 || n > UINT32_MAX)
		return -ERANGE;
	v.per_second = (double)n / (double)u->factor;
	v.burst = v.per_second < 1 ? 1 : v.per_second;
	r = burst(s + len, &v.burst);
	if (r == 0)
		*out = v;
	return r;
}

static double fraction(double x)
{
	double whole = (double)(uint64_t)(x + 0.5);

	return x > whole ? x - whole : whole - x;
}

const char *text_rate_print(const struct text_rate *r, char *buf, size_t len)
{
	double usual = r->per_second < 1 ? 1 : r->per_second;
	size_t i = 0;
	int n;

	if (r->per_second <= 0) {
		snprintf(buf, len, "none");
		return buf;
	}
	while (i < ARRAY_SIZE(rates) - 1 &&
	       fraction(r->per_second * (double)rates[i].factor) > 1e-6)
		i++;
	n = snprintf(buf, len, "%.0f/%s",
		     r->per_second * (double)rates[i].factor, rates[i].name);
	if (n > 0 && (size_t)n < len && r->burst != usual)
		snprintf(buf + n, len - (size_t)n, " burst=%.0f", r->burst);
	return buf;
}

#define SIGNAL(name) [SIG##name] = "SIG" #name
static const char *const signals[] = {
	SIGNAL(HUP),  SIGNAL(INT),    SIGNAL(QUIT), SIGNAL(ILL),
	SIGNAL(TRAP), SIGNAL(ABRT),   SIGNAL(BUS),  SIGNAL(FPE),
	SIGNAL(KILL), SIGNAL(USR1),   SIGNAL(SEGV), SIGNAL(USR2),
	SIGNAL(PIPE), SIGNAL(ALRM),   SIGNAL(TERM), SIGNAL(STKFLT),
	SIGNAL(CHLD), SIGNAL(CONT),   SIGNAL(STOP), SIGNAL(TSTP),
	SIGNAL(TTIN), SIGNAL(TTOU),   SIGNAL(URG),  SIGNAL(XCPU),
	SIGNAL(XFSZ), SIGNAL(VTALRM), SIGNAL(PROF), SIGNAL(WINCH),
	SIGNAL(IO),   SIGNAL(PWR),    SIGNAL(SYS),
};

/* The real-time ones, counted from SIGRTMIN. */
#define RT(n) "SIGRTMIN+" #n
static const char *const realtime[] = {
	"SIGRTMIN", RT(1),  RT(2),  RT(3),  RT(4),  RT(5),  RT(6),  RT(7),
	RT(8),	    RT(9),  RT(10), RT(11), RT(12), RT(13), RT(14), RT(15),
	RT(16),	    RT(17), RT(18), RT(19), RT(20), RT(21), RT(22), RT(23),
	RT(24),	    RT(25), RT(26), RT(27), RT(28), RT(29), RT(30),
};

const char *text_signal_name(int signo)
{
	if (signo > 0 && (size_t)signo < ARRAY_SIZE(signals))
		return signals[signo];
	if (signo >= SIGRTMIN && signo <= SIGRTMAX &&
	    (size_t)(signo - SIGRTMIN) < ARRAY_SIZE(realtime))
		return realtime[signo - SIGRTMIN];
	return "unknown signal";
}

/* 32 and 33 are the C library's and nameless. */
static bool has_name(int signo)
{
	return strncmp(text_signal_name(signo), "SIG", 3) == 0;
}

int text_signal(const char *s, int *out)
{
	int64_t n;
	int r;

	if (isdigit((unsigned char)*s) || *s == '-') {
		r = text_number(s, 1, SIGRTMAX, &n);
		if (r == 0 && !has_name((int)n))
			r = -EINVAL;
		if (r == 0)
			*out = (int)n;
		return r;
	}
	for (int i = 1; i <= SIGRTMAX; i++) {
		const char *name = text_signal_name(i);

		if (has_name(i) && (strcasecmp(s, name) == 0 ||
				    strcasecmp(s, name + 3) == 0)) {
			*out = i;
			return 0;
		}
	}
	return -EINVAL;
}
