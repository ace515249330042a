/*
 * endings - how programs of `spawn` fail, told once a second; see endings.h.
 */
#include "work/endings.h"

#include <stdio.h>
#include <string.h>

#define TELL_MS 1000

static void tell(struct service *s, pid_t pid, uint64_t cookie,
		 const char *text)
{
	log_write(LOG_LEVEL_INFO,
		  &(struct log_about){ .service = s->name, .pid = pid,
				       .cookie = cookie,
				       .event = "worker-exit" },
		  "%s", text);
}

static struct ending *find(struct endings *e, const char *text)
{
	struct ending *k = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(e->kinds); i++) {
		if (e->kinds[i].recent && strcmp(e->kinds[i].text, text) == 0)
			return &e->kinds[i];
		if (!e->kinds[i].recent && !k)
			k = &e->kinds[i];
	}
	return k;
}

static void tell_more(struct ending *k, struct service *s)
{
	char text[128];

	if (k->more == 0)
		return;
	if (k->more == 1)
		snprintf(text, sizeof(text), "%s", k->text);
	else
		snprintf(text, sizeof(text), "%s, and %u others like it",
			 k->text, k->more - 1);
	tell(s, k->pid, 0, text);
	k->more = 0;
}

/* A kind that did not come again is forgotten: the next one is told at once. */
static bool pass_round(struct endings *e, struct service *s)
{
	bool any = false;

	for (size_t i = 0; i < ARRAY_SIZE(e->kinds); i++) {
		struct ending *k = &e->kinds[i];

		k->recent = k->more > 0;
		any |= k->recent;
		tell_more(k, s);
	}
	return any;
}

static void on_tell(void *arg)
{
	struct endings *e = arg;

	if (pass_round(e, e->service))
		timer_set(e->service->u->loop, &e->tell, TELL_MS, on_tell, e);
}

void endings_add(struct endings **place, struct service *s, pid_t pid,
		 uint64_t cookie, const char *text, const char *line)
{
	CLEANUP(freep) char *all = line
		? xasprintf("%s; its last line: %s", text, line)
		: xstrdup(text);
	struct endings *e = *place;
	struct ending *k;

	if (!e)
		e = *place = xcalloc(1, sizeof(*e));
	e->service = s;
	k = find(e, text);
	if (!k) {
		k = &e->kinds[ARRAY_SIZE(e->kinds) - 1];
		snprintf(k->text, sizeof(k->text), "failed in another way");
	}
	k->pid = pid;
	if (k->recent) {
		k->more++;
		return;
	}
	k->recent = true;
	snprintf(k->text, sizeof(k->text), "%s", text);
	tell(s, pid, cookie, all);
	if (!timer_is_set(&e->tell))
		timer_set(s->u->loop, &e->tell, TELL_MS, on_tell, e);
}

void endings_end(struct endings **place, struct service *s)
{
	struct endings *e = *place;

	if (!e)
		return;
	timer_cancel(s->u->loop, &e->tell);
	pass_round(e, s);
	free(TAKE(*place));
}
