/*
 * plan - what a reload would change, without changing anything.
 *
 * The file is read and compared in a thread; both configurations are
 * constants.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "action/action.h"
#include "base/offload.h"

struct plan {
	char *path;		/* another file than usher's own */
	struct conf_source source;
	struct conf *conf, *old;
	struct conf_report report;
	int result;
	char *text;
	action_done *done;
	void *arg;
};

/* One of Postfix's: main.cf may have changed. */
static bool always_rolls(const struct conf_service *cs)
{
	return cs->enabled && cs->protocol == PROTOCOL_POSTFIX;
}

static void describe_usher(const struct plan *p, FILE *f)
{
	CLEANUP(freep) char *now = conf_compare_usher(p->old, p->conf,
						      CONF_LIVE);
	CLEANUP(freep) char *next = conf_compare_usher(p->old, p->conf,
						       CONF_NEXT);

	if (now)
		fprintf(f, "usher: changes %s; at once\n", now);
	if (next)
		fprintf(f, "usher: changes %s; when it is started or upgraded "
			"next\n", next);
}

static void describe_change(FILE *f, const struct conf_service *old,
			    const struct conf_service *new)
{
	CLEANUP(strv_free) struct strv keys = { 0 };
	unsigned bits = conf_compare(old, new, &keys);

	if (bits == CONF_SAME) {
		if (always_rolls(new))
			fprintf(f, "%s: its workers roll, as at each reload\n",
				new->name);
		return;
	}
	fprintf(f, "%s: changes", new->name);
	for (size_t i = 0; i < keys.n; i++)
		fprintf(f, "%s %s", i ? "," : "", keys.v[i]);
	if (always_rolls(new))
		bits |= CONF_WORKERS;
	fputs(bits & CONF_WORKERS ? "; its workers roll\n"
	      : bits & CONF_DOORS ? "; its doors change\n"
				  : "; at once\n", f);
}

static void describe(struct plan *p, FILE *f)
{
	const struct conf_service *cs, *old;

	describe_usher(p, f);
	TAILQ_FOREACH(cs, &p->conf->services, entry) {
		old = conf_find(p->old, cs->name);
		if (old)
			describe_change(f, old, cs);
		else
			fprintf(f, "%s: opens\n", cs->name);
	}
	TAILQ_FOREACH(cs, &p->old->services, entry)
		if (!conf_find(p->conf, cs->name))
			fprintf(f, "%s: closes\n", cs->name);
}

static void read_file(void *arg)
{
	struct plan *p = arg;
	size_t len;
	FILE *f = xmemstream(&p->text, &len);

	p->result = conf_load(&p->source, &p->conf, &p->report);
	if (p->result == 0)
		describe(p, f);
	for (size_t i = 0; i < p->report.errors.n; i++)
		fprintf(f, "%s\n", p->report.errors.v[i]);
	if (p->result == 0 && ftell(f) == 0)
		fputs("nothing changes\n", f);
	xmemstream_end(f);
}

static void tell(void *arg)
{
	struct plan *p = arg;
	size_t n = strlen(p->text);

	if (n && p->text[n - 1] == '\n')
		p->text[n - 1] = 0;
	p->done(p->arg, p->result, p->text);
	conf_unref(&p->conf);
	conf_unref(&p->old);
	conf_report_free(&p->report);
	free(p->text);
	free(p->path);
	free(p);
}

int action_plan(struct usher *u, const char *file, action_done *done,
		void *arg)
{
	struct plan *p = xcalloc(1, sizeof(*p));
	int r;

	p->source = u->source;
	if (file) {
		p->path = xstrdup(file);
		p->source = (struct conf_source){ .path = p->path,
						  .resolve = true };
	}
	p->old = conf_ref(u->conf);
	p->done = done;
	p->arg = arg;
	r = offload(read_file, tell, p);
	if (r < 0) {
		conf_unref(&p->old);
		free(p->path);
		free(p);
	}
	return r;
}
