/*
 * reload - a new configuration against the running model.
 *
 * The file is read and compared in a thread. Prepare (prepare.c): doors and
 * workers that are new come up beside what runs; any failure closes those
 * again and is the answer. Commit (commit.c): one turn of the loop. Retire:
 * changed workers are rolled. One reload at a time; who asks while one is
 * under way, which may have read the file before it was changed, is answered
 * by the one that follows it, all of them by the same.
 */
#include "action/reload.h"

#include <errno.h>
#include <string.h>

#include "base/offload.h"

static struct reload *under_way;
/* Who asked meanwhile. */
static struct askers waiting = TAILQ_HEAD_INITIALIZER(waiting);

static void begin_next(struct usher *u);

/* ---- answers ---- */

static void tell(struct asker *a, int result, const char *text)
{
	if (a->done)
		a->done(a->arg, result, text);
	free(a);
}

/* ALL, or those who do not wait for rolls. */
static void answer(struct askers *list, bool all, int result,
		   const char *text)
{
	struct asker *a, *next;

	for (a = TAILQ_FIRST(list); a; a = next) {
		next = TAILQ_NEXT(a, entry);
		if (!all && a->wait)
			continue;
		TAILQ_REMOVE(list, a, entry);
		tell(a, result, text);
	}
}

static void free_in_thread(void *arg)
{
	struct conf *c = arg;

	conf_unref(&c);
}

static void freed(void *arg)
{
	(void)arg;
}

/* The last hold on a large configuration: freeing it takes milliseconds. */
static void let_go(struct conf **conf)
{
	struct conf *c = TAKE(*conf);

	if (!c || c->refs > 1 || offload(free_in_thread, freed, c) < 0)
		conf_unref(&c);
}

static void reload_free(struct reload *r)
{
	let_go(&r->conf);
	let_go(&r->old);
	conf_report_free(&r->report);
	free(r->steps);
	free(r->failed);
	free(r->text);
	free(r);
}

/* R is over: all are answered. */
static void end(struct reload *r, int result, const char *text)
{
	struct usher *u = r->u;
	struct askers askers = TAILQ_HEAD_INITIALIZER(askers);

	TAILQ_CONCAT(&askers, &r->askers, entry);
	if (under_way == r)
		under_way = NULL;
	reload_free(r);
	answer(&askers, true, result, text);
	begin_next(u);
}

void reload_refuse(struct reload *r, int result, const char *why)
{
	reload_unprepare(r);
	end(r, result, why);
}

/* ---- after the commit ---- */

static void rolled(void *arg, int result, const char *why)
{
	struct reload *r = arg;
	CLEANUP(freep) char *good = NULL;

	if (result < 0 && result != -ECANCELED && !r->failed)
		r->failed = xstrdup(why ?: strerror(-result));
	if (--r->rolling > 0)
		return;
	if (r->failed) {
		CLEANUP(freep) char *text = xasprintf("reloaded, but a roll "
						      "failed: %s", r->failed);

		end(r, -EIO, text);
		return;
	}
	good = TAKE(r->text);	/* outlives R */
	end(r, 0, good);
}

/* Who waits is answered when all have settled, the others now. The next
 * reload may begin: a roll that it overtakes is dropped. */
static void roll_changed(struct reload *r)
{
	struct usher *u = r->u;

	under_way = NULL;
	answer(&r->askers, false, 0, r->text);
	r->rolling = 1;		/* ours, so that it is not over at once */
	for (size_t i = 0; i < r->n; i++) {
		struct step *st = &r->steps[i];

		if (st->fresh || !(st->diff & CONF_WORKERS))
			continue;
		r->rolling++;
		if (service_roll(st->s, rolled, r) < 0)
			r->rolling--;
	}
	rolled(r, 0, NULL);
	begin_next(u);
}

/* What of [usher] this process can't follow is said. */
static char *good_text(const struct reload *r)
{
	CLEANUP(freep) char *next = conf_compare_usher(r->old, r->conf,
						       CONF_NEXT);

	if (!next)
		return xstrdup("reloaded");
	log_warning("reload: %s: acts when usher is started or upgraded next",
		    next);
	return xasprintf("reloaded; %s: when usher is started or upgraded next",
			 next);
}

void reload_tried(struct reload *r)
{
	CLEANUP(freep) char *why = NULL;
	int res = reload_open_deferred(r, &why);

	if (res < 0) {
		reload_refuse(r, res, why);
		return;
	}
	r->preparing = false;
	r->text = good_text(r);
	reload_commit(r);
	log_notice("reloaded: %zu service%s, %zu new, %zu changed, %zu gone",
		   r->conf->nservices, r->conf->nservices == 1 ? "" : "s",
		   r->opened, r->changed, r->closed);
	roll_changed(r);
}

/* ---- the thread ---- */

/* Both configurations are constants. */
static void compare_all(struct reload *r)
{
	struct conf_service *cs;

	r->steps = xcalloc(r->conf->nservices, sizeof(*r->steps));
	TAILQ_FOREACH(cs, &r->conf->services, entry) {
		struct step *st = &r->steps[r->n++];
		const struct conf_service *old = conf_find(r->old, cs->name);

		st->r = r;
		st->cs = cs;
		if (old)
			st->diff = conf_compare(old, cs, NULL);
		if (cs->protocol == PROTOCOL_POSTFIX)
			st->diff |= CONF_WORKERS;	/* main.cf may have */
	}
}

static void read_file(void *arg)
{
	struct reload *r = arg;

	r->result = conf_load(&r->source, &r->conf, &r->report);
	if (r->result == 0)
		compare_all(r);
}

static char *all_errors(const struct reload *r)
{
	char *text = xstrdup("");

	for (size_t i = 0; i < r->report.errors.n; i++) {
		char *more = xasprintf("%s%s%s", text, i ? "\n" : "",
				       r->report.errors.v[i]);

		free(text);
		text = more;
	}
	return text;
}

static void go_on(void *arg)
{
	struct reload *r = arg;
	CLEANUP(freep) char *text = NULL;

	if (r->u->stopping && r->result == 0)
		r->result = -ESHUTDOWN;
	if (r->abandoned) {
		reload_free(r);
	} else if (r->result < 0) {
		text = all_errors(r);
		end(r, r->result, *text ? text : strerror(-r->result));
	} else {
		reload_prepare(r);
	}
}

/* ---- asking ---- */

static int begin(struct usher *u, struct askers *askers)
{
	struct reload *r = xcalloc(1, sizeof(*r));
	int result;

	r->u = u;
	r->source = u->source;
	r->old = conf_ref(u->conf);
	TAILQ_INIT(&r->askers);
	result = offload(read_file, go_on, r);
	if (result < 0) {
		reload_free(r);
		return result;
	}
	TAILQ_CONCAT(&r->askers, askers, entry);
	under_way = r;
	return 0;
}

static void begin_next(struct usher *u)
{
	int result;

	if (under_way || TAILQ_EMPTY(&waiting))
		return;
	result = begin(u, &waiting);
	if (result < 0)
		answer(&waiting, true, result, strerror(-result));
}

int action_reload(struct usher *u, bool wait, action_done *done, void *arg)
{
	struct asker *a = xcalloc(1, sizeof(*a));
	int result = 0;

	*a = (struct asker){ .wait = wait, .done = done, .arg = arg };
	TAILQ_INSERT_TAIL(&waiting, a, entry);
	if (!under_way)
		result = begin(u, &waiting);
	if (result < 0) {
		TAILQ_REMOVE(&waiting, a, entry);
		free(a);
	}
	return result;
}

void action_reload_end(struct usher *u, int result, const char *why)
{
	struct askers all = TAILQ_HEAD_INITIALIZER(all);
	struct reload *r = TAKE(under_way);

	(void)u;
	if (r)
		TAILQ_CONCAT(&all, &r->askers, entry);
	TAILQ_CONCAT(&all, &waiting, entry);
	if (r && r->preparing) {
		reload_unprepare(r);
		reload_free(r);
	} else if (r) {
		r->abandoned = true;	/* the thread has it still */
	}
	answer(&all, true, result, why);
}
