/*
 * top - usher top: the services, live: sorted, paused, with the last minute
 * of each one's rate as a small curve.
 *
 * Redraws each second and after a key. What it shows it asked on one
 * connection; a daemon that has gone is said, and tried again.
 */
#include <curses.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/table.h"
#include "client/words.h"

#define TICK_MS 1000
#define LINE_MOST 400
#define HISTORY 300		/* seconds kept of each service */

struct history {
	char *name;
	float rate[HISTORY];
	unsigned n;		/* seconds seen */
	unsigned seen;		/* in which tick last */
};

enum colour { RED = 1, YELLOW };

enum sort { BY_WORST, BY_NAME, BY_RATE, BY_QUEUE, BY_WORKERS, BY_REFUSED,
	    SORTS };
static const char *const sort_names[SORTS] = {
	"worst", "name", "rate", "queue", "workers", "refused",
};

struct top {
	struct ask *ask;
	bool connected, paused, utf8, colours, quit;
	enum sort sort;
	size_t first;		/* row at the top of the table */
	json_t *status;
	struct row *rows;
	size_t n;
	struct history *history;
	size_t nhistory;
	unsigned tick;
	char *lost;		/* why there is nothing to show */
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int64_t mono_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- the past ---- */

static struct history *history_of(struct top *t, const char *name)
{
	for (size_t i = 0; i < t->nhistory; i++)
		if (strcmp(t->history[i].name, name) == 0)
			return &t->history[i];
	t->history = xrealloc(t->history,
			      (t->nhistory + 1) * sizeof(*t->history));
	t->history[t->nhistory] = (struct history){ .name = xstrdup(name) };
	return &t->history[t->nhistory++];
}

static void remember(struct top *t)
{
	t->tick++;
	for (size_t i = 0; i < t->n; i++) {
		struct history *h = history_of(t, t->rows[i].name);

		h->rate[h->n++ % HISTORY] = (float)t->rows[i].rate1;
		h->seen = t->tick;
	}
	for (size_t i = 0; i < t->nhistory; i++) {
		if (t->history[i].seen == t->tick)
			continue;
		free(t->history[i].name);
		t->history[i--] = t->history[--t->nhistory];
	}
}

/* WIDTH characters, the newest at the right, scaled to its own highest. */
static void draw_curve(const struct top *t, const char *name, int width)
{
	static const char *const fine[] = { " ", "▁", "▂", "▃", "▄",
					    "▅", "▆", "▇", "█" };
	static const char *const plain[] = { " ", ".", ".", ":", "-",
					     "=", "+", "*", "#" };
	const struct history *h = history_of((struct top *)t, name);
	float most = 0;

	if (width > HISTORY)
		width = HISTORY;
	for (int i = 0; i < width; i++)
		if (h->n > (unsigned)i && h->rate[(h->n - 1 - (unsigned)i) %
						  HISTORY] > most)
			most = h->rate[(h->n - 1 - (unsigned)i) % HISTORY];
	for (int i = width - 1; i >= 0; i--) {
		float r = h->n > (unsigned)i
			? h->rate[(h->n - 1 - (unsigned)i) % HISTORY] : 0;
		int level = most > 0 ? (int)(r / most * 8 + 0.5f) : 0;

		if (level == 0 && r > 0.005f)
			level = 1;
		addstr(t->utf8 ? fine[level] : plain[level]);
	}
}

/* ---- asking ---- */

static void lost(struct top *t, const char *why)
{
	talk_close(&t->ask->talk);
	t->ask->talk.fd = -1;
	t->connected = false;
	free(t->lost);
	t->lost = xstrdup(why);
}

static enum sort sorted_by;

static int compare(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	double d = 0;

	switch (sorted_by) {
	case BY_RATE:
		d = y->rate10 - x->rate10;
		break;
	case BY_QUEUE:
		d = y->depth - x->depth;
		break;
	case BY_WORKERS:
		d = (double)y->nworkers - (double)x->nworkers;
		break;
	case BY_REFUSED:
		d = y->nrefused - x->nrefused;
		break;
	case BY_NAME:
		break;
	default:
		return table_worst(a, b);
	}
	if (d != 0)
		return d < 0 ? -1 : 1;
	return strcmp(x->name, y->name);
}

static void take(struct top *t, json_t *status)
{
	const json_t *services = json_object_get(status, "services"), *s;
	size_t i;

	json_decref(t->status);
	t->status = status;
	free(t->rows);
	t->n = json_array_size(services);
	t->rows = xcalloc(t->n ? t->n : 1, sizeof(*t->rows));
	json_array_foreach((json_t *)services, i, s)
		table_row(s, now(), &t->rows[i]);
	remember(t);
}

static void refresh_rows(struct top *t)
{
	json_t *status = NULL;
	struct talk *talk = &t->ask->talk;

	if (!t->connected) {
		/* What it says of a failure would tear the screen. */
		int err = dup(STDERR_FILENO);

		if (freopen("/dev/null", "w", stderr))
			t->connected = ask_connect(t->ask) == 0;
		dup2(err, STDERR_FILENO);
		close(err);
	}
	if (!t->connected) {
		lost(t, "not reachable");
		return;
	}
	talk->quiet = true;
	if (talk_call(talk, "Status", NULL, &status)) {
		json_decref(status);
		lost(t, "has gone");
		return;
	}
	free(TAKE(t->lost));
	take(t, status);
}

/* ---- drawing ---- */

static void draw_head(struct top *t, int width)
{
	CLEANUP(freep) char *headline = t->status
		? table_headline(t->status) : xstrdup("no answer yet");
	char up[16] = "";
	time_t clock = (time_t)now();
	struct tm tm;
	char when[16] = "";

	if (t->status)
		table_age(now() - (double)json_get_int(t->status, "since", 0),
			  up, sizeof(up));
	if (localtime_r(&clock, &tm))
		strftime(when, sizeof(when), "%H:%M:%S", &tm);
	mvprintw(0, 0, "usher %s  up %s  pid %lld%s%s%s",
		 json_get_text(t->status, "version", "?"), up,
		 (long long)json_get_int(t->status, "pid", 0),
		 t->paused ? "  PAUSED" : "", t->lost ? "  DAEMON " : "",
		 t->lost ? t->lost : "");
	if (width >= 60)
		mvprintw(0, width - 8, "%s", when);
	mvprintw(1, 0, "%.*s", width, headline);
}

/* How wide the name is: what a narrow terminal leaves, and no more than the
 * longest name needs. */
static int name_width(const struct top *t, int width)
{
	int longest = 7, room = width < LINE_MOST / 2
		? width - 62 : LINE_MOST / 2 - 62;

	for (size_t i = 0; i < t->n; i++)
		if ((int)strlen(t->rows[i].name) > longest)
			longest = (int)strlen(t->rows[i].name);
	if (room < 12)
		room = 12;
	return longest < room ? longest : room;
}

/* What is bad is red, what is not as usual yellow, where there are colours. */
static attr_t look_of(const struct top *t, const struct row *r)
{
	attr_t attr = r->bad == 0 ? A_BOLD : 0;

	if (!r->service || !t->colours || r->bad >= TABLE_USUAL)
		return attr;
	return attr | COLOR_PAIR(r->bad == 0 ? RED : YELLOW);
}

static void draw_row(const struct top *t, int y, int width, int name,
		     const struct row *r)
{
	char text[LINE_MOST], shown[LINE_MOST];
	attr_t attr = look_of(t, r);
	int left = width - name - 56 - 1;

	snprintf(text, sizeof(text),
		 "%-*s %-9.9s %4s %7s %10s %6s %7s %5s ", name,
		 table_name(r->name, name, shown, sizeof(shown)), r->state,
		 r->gen, r->workers, r->queue, r->rate, r->refused, r->since);
	attron(attr);
	mvaddnstr(y, 0, text, width);
	attroff(attr);
	if (r->service && left > 0)
		draw_curve(t, r->name, left);
}

static void draw(struct top *t)
{
	static const struct row head = {
		.name = "SERVICE", .state = "STATE", .gen = "GEN",
		.workers = "WORKERS", .queue = "QUEUE", .rate = "CONN/S",
		.refused = "REFUSED", .since = "SINCE",
	};
	int height, width, name;
	size_t room;

	getmaxyx(stdscr, height, width);
	erase();
	draw_head(t, width);
	name = name_width(t, width);
	attron(A_REVERSE);
	mvhline(2, 0, ' ', width);
	draw_row(t, 2, width, name, &head);
	attroff(A_REVERSE);
	room = height > 4 ? (size_t)height - 4 : 0;
	if (t->first + room > t->n)
		t->first = t->n > room ? t->n - room : 0;
	sorted_by = t->sort;
	qsort(t->rows, t->n, sizeof(*t->rows), compare);
	for (size_t i = 0; i < room && t->first + i < t->n; i++)
		draw_row(t, 3 + (int)i, width, name, &t->rows[t->first + i]);
	mvprintw(height - 1, 0, "%.*s", width - 1,
		 "q quit  s sort  space pause  arrows scroll");
	if (width > 72)
		mvprintw(height - 1, width - 26, "by %s, %zu-%zu of %zu",
			 sort_names[t->sort], t->n ? t->first + 1 : 0,
			 t->first + room < t->n ? t->first + room : t->n,
			 t->n);
	refresh();
}

/* ---- keys ---- */

static void scroll_by(struct top *t, long lines)
{
	if (lines < 0 && t->first < (size_t)-lines)
		t->first = 0;
	else
		t->first += (size_t)lines;
	if (t->first > t->n)
		t->first = t->n;
}

static void on_key(struct top *t, int key)
{
	static const struct {
		int key;
		enum sort sort;
	} sorts[] = {
		{ 'W', BY_WORST }, { 'n', BY_NAME }, { 'c', BY_RATE },
		{ 'Q', BY_QUEUE }, { 'w', BY_WORKERS }, { 'r', BY_REFUSED },
	};

	for (size_t i = 0; i < ARRAY_SIZE(sorts); i++)
		if (sorts[i].key == key)
			t->sort = sorts[i].sort;
	switch (key) {
	case 'q':
		t->quit = true;
		break;
	case 's':
		t->sort = (t->sort + 1) % SORTS;
		break;
	case ' ':
	case 'p':
		t->paused = !t->paused;
		break;
	case KEY_DOWN:
	case 'j':
		scroll_by(t, 1);
		break;
	case KEY_UP:
	case 'k':
		scroll_by(t, -1);
		break;
	case KEY_NPAGE:
		scroll_by(t, LINES - 4);
		break;
	case KEY_PPAGE:
		scroll_by(t, -(LINES - 4));
		break;
	default:
		break;
	}
}

/* Keys until the next tick is due. */
static void wait_keys(struct top *t, int64_t until)
{
	int64_t left;

	while (!t->quit && (left = until - mono_ms()) > 0) {
		int key;

		timeout((int)left);
		key = getch();
		if (key == ERR)
			return;
		on_key(t, key);
		draw(t);
	}
}

static void end_top(struct top *t)
{
	json_decref(t->status);
	free(t->rows);
	free(t->lost);
	for (size_t i = 0; i < t->nhistory; i++)
		free(t->history[i].name);
	free(t->history);
}

/* no-color.org */
static bool colours(void)
{
	const char *no = getenv("NO_COLOR");

	if ((no && *no) || !has_colors() || start_color() == ERR ||
	    use_default_colors() == ERR)
		return false;
	init_pair(RED, COLOR_RED, -1);
	init_pair(YELLOW, COLOR_YELLOW, -1);
	return true;
}

int run_top(struct ask *a)
{
	struct top t = { .ask = a };
	SCREEN *screen;
	int r;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return ask_usage(a, "a terminal is wanted; usher status "
				 "prints once");
	r = ask_connect(a);
	if (r)
		return r;
	t.connected = true;
	setlocale(LC_ALL, "");
	t.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	screen = newterm(NULL, stdout, stdin);
	if (!screen)
		return ask_usage(a, "TERM=%s is not known here",
				 getenv("TERM") ? getenv("TERM") : "");
	t.colours = colours();
	cbreak();
	noecho();
	curs_set(0);
	keypad(stdscr, true);
	while (!t.quit) {
		int64_t until = mono_ms() + TICK_MS;

		if (!t.paused)
			refresh_rows(&t);
		draw(&t);
		wait_keys(&t, until);
	}
	endwin();
	delscreen(screen);
	end_top(&t);
	return 0;
}
