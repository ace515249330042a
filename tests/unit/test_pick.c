/*
 * What work/pick promises: never a worker that can't take one, the least
 * loaded, each in turn, the same for the same source as long as it is there.
 */
#include "work/pick.h"

#include <arpa/inet.h>

#include "house.h"

#define WORKERS 5

static struct conf_service conf;
static struct service service;
static struct pool pool;
static struct generation current, next;
static struct worker workers[WORKERS];

static void begin(enum conf_pick kind, int64_t connections)
{
	memset(workers, 0, sizeof(workers));
	memset(&pool, 0, sizeof(pool));
	conf = (struct conf_service){ .pick = kind,
				      .worker_connections = connections };
	service = (struct service){ .name = "pick", .conf = &conf };
	pool.service = &service;
	pool.current = &current;
	current = (struct generation){ .conf = &conf };
	next = (struct generation){ .conf = &conf };
	TAILQ_INIT(&current.workers);
	TAILQ_INIT(&next.workers);
	for (int i = 0; i < WORKERS; i++) {
		workers[i].pid = 100 + i;
		workers[i].ready = true;
		workers[i].state = WORKER_IDLE;
		workers[i].queue = (void *)&workers[i];	/* one, whichever */
		workers[i].generation = &current;
		TAILQ_INSERT_TAIL(&current.workers, &workers[i], entry);
	}
}

static pid_t pick(const struct conn *c, uint64_t turn)
{
	struct worker *w = pick_worker(&pool, c, turn);

	return w ? w->pid : 0;
}

static struct conn from(const char *address, uint16_t port)
{
	struct conn c = { .fd = -1 };

	c.peer.u.in.sin_family = AF_INET;
	c.peer.u.in.sin_port = htons(port);
	c.peer.len = sizeof(c.peer.u.in);
	inet_pton(AF_INET, address, &c.peer.u.in.sin_addr);
	return c;
}

static const struct {
	const char *what;
	enum worker_state state;
	bool ready, leaving, queue;
	uint32_t outstanding;
	bool usable;
} usable[] = {
	{ "idle", WORKER_IDLE, true, false, true, 0, true },
	{ "one of two", WORKER_BUSY, true, false, true, 1, true },
	{ "two of two", WORKER_BUSY, true, false, true, 2, false },
	{ "starting", WORKER_STARTING, false, false, true, 0, false },
	{ "told to go", WORKER_STOPPING, true, false, true, 0, false },
	{ "killed", WORKER_KILLED, true, false, true, 0, false },
	{ "to be replaced", WORKER_IDLE, true, true, true, 0, false },
	{ "without a queue", WORKER_IDLE, true, false, false, 0, false },
};

START_TEST(who_is_usable)
{
	struct worker *w = &workers[0];

	begin(PICK_LEASTCONN, 2);
	w->state = usable[_i].state;
	w->ready = usable[_i].ready;
	w->leaving = usable[_i].leaving;
	w->outstanding = usable[_i].outstanding;
	if (!usable[_i].queue)
		w->queue = NULL;
	ck_assert_msg(pick_usable(w) == usable[_i].usable, "%s",
		      usable[_i].what);
}
END_TEST

START_TEST(least)
{
	begin(PICK_LEASTCONN, 10);
	for (int i = 0; i < WORKERS; i++)
		workers[i].outstanding = (uint32_t)(9 - i);
	ck_assert_int_eq(pick(NULL, 0), 104);
	workers[4].state = WORKER_STOPPING;
	ck_assert_int_eq(pick(NULL, 0), 103);
	/* Of equals the one that was idle the longest. */
	workers[2].outstanding = workers[3].outstanding;
	workers[3].last_used = 5;
	ck_assert_int_eq(pick(NULL, 0), 102);
}
END_TEST

START_TEST(turn)
{
	uint64_t last = 0;

	begin(PICK_ROUNDROBIN, 1);
	for (int i = 0; i < 3 * WORKERS; i++) {
		pid_t pid = pick(NULL, last);

		ck_assert_int_eq(pid, 100 + i % WORKERS);
		last = (uint64_t)pid;
	}
	workers[1].outstanding = 1;
	ck_assert_int_eq(pick(NULL, 100), 102);
	/* The last one has gone meanwhile. */
	TAILQ_REMOVE(&current.workers, &workers[3], entry);
	ck_assert_int_eq(pick(NULL, 103), 104);
	ck_assert_int_eq(pick(NULL, 104), 100);
}
END_TEST

START_TEST(source)
{
	pid_t who[256];
	unsigned counts[WORKERS] = { 0 }, moved = 0;

	begin(PICK_SOURCE, 1000);
	for (int i = 0; i < 256; i++) {
		char text[32];
		struct conn a, b;

		snprintf(text, sizeof(text), "192.0.2.%d", i);
		a = from(text, 1000);
		b = from(text, 2000);
		who[i] = pick(&a, 0);
		ck_assert_int_eq(who[i], pick(&b, 77));
		counts[who[i] - 100]++;
	}
	for (int i = 0; i < WORKERS; i++)
		ck_assert_uint_gt(counts[i], 20);
	/* One leaves: only its sources go elsewhere. */
	workers[2].state = WORKER_STOPPING;
	for (int i = 0; i < 256; i++) {
		char text[32];
		struct conn a;

		snprintf(text, sizeof(text), "192.0.2.%d", i);
		a = from(text, 1);
		if (who[i] == 102)
			moved++;
		else
			ck_assert_int_eq(pick(&a, 0), who[i]);
	}
	ck_assert_uint_eq(moved, counts[2]);
}
END_TEST

START_TEST(unix_source)
{
	struct conn a = { .is_unix = true, .has_cred = true };
	struct conn b = a;

	begin(PICK_SOURCE, 1000);
	b.cred.pid = 4711;	/* another process of the same user */
	ck_assert_int_eq(pick(&a, 0), pick(&b, 0));
}
END_TEST

/* While a roll settles both generations are asked. */
START_TEST(both_generations)
{
	begin(PICK_LEASTCONN, 1);
	pool.next = &next;
	TAILQ_REMOVE(&current.workers, &workers[4], entry);
	TAILQ_INSERT_TAIL(&next.workers, &workers[4], entry);
	for (int i = 0; i < 4; i++)
		workers[i].outstanding = 1;
	ck_assert_int_eq(pick(NULL, 0), 104);
	workers[4].outstanding = 1;
	ck_assert_int_eq(pick(NULL, 0), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pick");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, who_is_usable, 0, ARRAY_SIZE(usable));
	tcase_add_test(tc, least);
	tcase_add_test(tc, turn);
	tcase_add_test(tc, source);
	tcase_add_test(tc, unix_source);
	tcase_add_test(tc, both_generations);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
