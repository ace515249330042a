/*
 * What work/postfix_status promises: honest messages are told, the rest is
 * counted, and no torn one makes it deaf.
 */
#include "work/postfix_status.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Two workers live: pid 100 as start 7, pid 4242 as start 8. */
static bool known(void *arg, int32_t pid, uint32_t generation)
{
	(void)arg;
	return (pid == 100 && generation == 7) ||
	       (pid == 4242 && generation == 8);
}

/* Told as words: "100+" is AVAIL of 100, "100-" TAKEN. */
static void said(void *arg, int32_t pid, uint32_t generation, bool avail)
{
	char *told = arg;
	size_t len = strlen(told);

	(void)generation;
	if (len < 200)
		snprintf(told + len, 256 - len, "%s%d%c", len ? " " : "", pid,
			 avail ? '+' : '-');
}

static const struct postfix_status_events events = { known, said };

struct message {
	int32_t pid;
	uint32_t generation;
	int32_t avail;
};

#define TAKEN(pid, gen) { pid, gen, 0 }
#define AVAIL(pid, gen) { pid, gen, 1 }

/* Bytes CUT from the front of the first message, JUNK put before all. */
static const struct {
	struct message m[4];
	size_t n, cut, junk;
	const char *told;
	unsigned gossip;
} rows[] = {
	{ { TAKEN(100, 7), AVAIL(100, 7) }, 2, 0, 0, "100- 100+", 0 },
	{ { TAKEN(100, 7), TAKEN(4242, 8) }, 2, 0, 0, "100- 4242-", 0 },
	/* a grandchild, another generation, a wild value */
	{ { TAKEN(555, 7), TAKEN(100, 7) }, 2, 0, 0, "100-", 1 },
	{ { TAKEN(100, 6), TAKEN(100, 7) }, 2, 0, 0, "100-", 1 },
	{ { TAKEN(100, 0), TAKEN(100, 7) }, 2, 0, 0, "100-", 1 },
	{ { { 100, 7, 2 }, TAKEN(100, 7) }, 2, 0, 0, "100-", 1 },
	{ { { -1, 7, 0 }, TAKEN(100, 7) }, 2, 0, 0, "100-", 1 },
	{ { { 100, 7, INT32_MIN }, AVAIL(4242, 8) }, 2, 0, 0, "4242+", 1 },
	/* torn at each byte: the next is understood */
	{ { TAKEN(100, 7), AVAIL(4242, 8) }, 2, 1, 0, "4242+", 1 },
	{ { TAKEN(100, 7), AVAIL(4242, 8) }, 2, 5, 0, "4242+", 1 },
	{ { TAKEN(100, 7), AVAIL(4242, 8) }, 2, 11, 0, "4242+", 1 },
	{ { TAKEN(100, 7), AVAIL(100, 7) }, 2, 0, 1, "100- 100+", 1 },
	{ { TAKEN(100, 7), AVAIL(100, 7) }, 2, 0, 13, "100- 100+", 2 },
	{ { TAKEN(100, 7) }, 1, 0, 36, "100-", 3 },
	/* nothing but a foreign one: it is counted with what follows */
	{ { TAKEN(555, 7) }, 1, 0, 0, "", 0 },
	{ { TAKEN(555, 7), TAKEN(556, 7), TAKEN(557, 7) }, 3, 0, 0, "", 2 },
};

static size_t build(int i, unsigned char *out)
{
	size_t len = rows[i].n * sizeof(struct message) - rows[i].cut;

	memset(out, 0xa5, rows[i].junk);
	memcpy(out + rows[i].junk,
	       (const unsigned char *)rows[i].m + rows[i].cut, len);
	return rows[i].junk + len;
}

/* However the bytes come, all at once or in pieces of 1 to 30. */
START_TEST(status)
{
	unsigned char bytes[128];
	size_t len = build(_i, bytes);

	for (size_t step = 1; step <= 30; step++) {
		struct postfix_status st = { .have = 0 };
		char told[256] = "";
		unsigned gossip = 0;

		for (size_t at = 0; at < len; at += step)
			gossip += postfix_status_feed(
				&st, bytes + at,
				step < len - at ? step : len - at, &events,
				told);
		ck_assert_str_eq(told, rows[_i].told);
		ck_assert_uint_eq(gossip, rows[_i].gossip);
		ck_assert_uint_lt(st.have, POSTFIX_STATUS_LEN);
	}
}
END_TEST

/* The example of the protocol's description, byte for byte. */
static bool known_example(void *arg, int32_t pid, uint32_t generation)
{
	(void)arg;
	return pid == 22564 && generation == 4;
}

START_TEST(example)
{
	static const unsigned char bytes[] = {
		0x24, 0x58, 0, 0, 0x04, 0, 0, 0, 0, 0, 0, 0,
	};
	struct postfix_status_events e = { known_example, said };
	struct postfix_status st = { .have = 0 };
	char told[256] = "";

	ck_assert_uint_eq(postfix_status_feed(&st, bytes, sizeof(bytes), &e,
					      told), 0);
	ck_assert_str_eq(told, "22564-");
}
END_TEST

/* A megabyte of anything: bounded, and one honest message after it counts. */
START_TEST(flood)
{
	static unsigned char bytes[1 << 20];
	const struct message last = AVAIL(4242, 8);
	struct postfix_status st = { .have = 0 };
	char told[256] = "";
	unsigned gossip;

	srand(_i);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = _i == 0 ? 0 : (unsigned char)rand();
	gossip = postfix_status_feed(&st, bytes, sizeof(bytes), &events, told);
	ck_assert_uint_ge(gossip, sizeof(bytes) / 12 - 1);
	gossip = postfix_status_feed(&st, &last, sizeof(last), &events, told);
	ck_assert_uint_le(gossip, 2);
	ck_assert_str_eq(told, "4242+");
}
END_TEST

/* A state that somebody else left: its length can't be trusted. */
START_TEST(damaged)
{
	const struct message m = TAKEN(100, 7);
	struct postfix_status st = { .have = 4000000000u, .odd = 4000000000u };
	char told[256] = "";

	postfix_status_feed(&st, &m, sizeof(m), &events, told);
	ck_assert_str_eq(told, "100-");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("postfix_status");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, status, 0, ARRAY_SIZE(rows));
	tcase_add_test(tc, example);
	tcase_add_loop_test(tc, flood, 0, 3);
	tcase_add_test(tc, damaged);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
