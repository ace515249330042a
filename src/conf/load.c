/*
 * load - files to a configuration: reads, makes [usher] and every service,
 * checks what they say of each other, and orders the report.
 */
#include "conf/load.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/text.h"
#include "conf/derive.h"
#include "conf/doors.h"
#include "conf/service.h"

/* --- the report ---------------------------------------------------------- */

static void tell(struct load *l, bool note, struct conf_where where,
		 const char *title, const char *key, const char *fmt,
		 va_list ap)
{
	char *text = xvasprintf(fmt, ap), *line = NULL;
	struct told *t;

	if (where.line)
		line = xasprintf("%s:%u: %s%s%s%s%s%s", where.file, where.line,
				 title ? "[" : "", title ? title : "",
				 title ? "] " : "", key ? key : "",
				 key ? ": " : "", text);
	else
		line = xasprintf("%s: %s", where.file, text);
	free(text);
	if ((l->ntold & (l->ntold - 1)) == 0)
		l->told = xrealloc(l->told, (l->ntold ? l->ntold * 2 : 1) *
						    sizeof(*l->told));
	t = &l->told[l->ntold];
	*t = (struct told){ where, l->ntold, note, line };
	l->ntold++;
	l->nerrors += !note;
}

void load_error(struct load *l, struct conf_where where, const char *title,
		const char *key, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tell(l, false, where, title, key, fmt, ap);
	va_end(ap);
}

void load_note(struct load *l, struct conf_where where, const char *title,
	       const char *key, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tell(l, true, where, title, key, fmt, ap);
	va_end(ap);
}

void load_missing(struct load *l, struct conf_where where, const char *title,
		  const char *key, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tell(l, l->kept, where, title, key, fmt, ap);
	va_end(ap);
}

/* The number of a file: the order in which they were read. */
static size_t file_number(const struct load *l, const char *file)
{
	for (size_t i = 0; i < l->conf->files.n; i++)
		if (l->conf->files.v[i] == file)
			return i;
	return 0;
}

struct sorted {
	size_t file;
	const struct told *told;
};

static int in_order(const void *a, const void *b)
{
	const struct sorted *x = a, *y = b;

	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	if (x->told->where.line != y->told->where.line)
		return x->told->where.line < y->told->where.line ? -1 : 1;
	return x->told->order < y->told->order ? -1 : 1;
}

/* Into REPORT, by file and line. */
static void report(struct load *l, struct conf_report *out)
{
	CLEANUP(freep) struct sorted *v = xcalloc(l->ntold, sizeof(*v));

	for (size_t i = 0; i < l->ntold; i++)
		v[i] = (struct sorted){
			file_number(l, l->told[i].where.file), &l->told[i],
		};
	qsort(v, l->ntold, sizeof(*v), in_order);
	for (size_t i = 0; i < l->ntold; i++) {
		if (v[i].told->note)
			strv_push(&out->notes, v[i].told->text);
		else if (out->nerrors++ < CONF_ERRORS_MOST)
			strv_push(&out->errors, v[i].told->text);
		else
			free(v[i].told->text);
	}
	if (out->nerrors > CONF_ERRORS_MOST)
		strv_pushf(&out->errors, "and %zu more",
			   out->nerrors - CONF_ERRORS_MOST);
}

/* --- [usher] ------------------------------------------------------------- */

static char *runtime_directory(const struct conf_source *src)
{
	const char *xdg = getenv("XDG_RUNTIME_DIR");

	if (src->runtime)
		return xstrdup(src->runtime);
	if (geteuid() == 0)
		return NULL;
	if (xdg && *xdg == '/')
		return xasprintf("%s/usher", xdg);
	return xasprintf("/tmp/usher-%u", (unsigned)geteuid());
}

static void usher_defaults(struct load *l)
{
	struct conf *c = l->conf;
	CLEANUP(freep) char *runtime = runtime_directory(l->src);
	CLEANUP(freep) char *control = NULL;
	CLEANUP(freep) char *why = NULL;
	struct rlimit limit;

	if (!c->control.text) {
		c->control_default = true;
		control = xasprintf("unix:%s/control mode=0666",
				    runtime ? runtime : "/run/usher");
		if (addr_parse(control, &c->control, &why) < 0) {
			c->control = (struct addr){ 0 };
			load_error(l, (struct conf_where){ .file = c->path },
				   NULL, NULL, "the control socket's default "
				   "place: %s", why);
		}
	}
	if (!c->spool)
		c->spool = runtime ? xasprintf("%s/spool", runtime)
				   : xstrdup("/var/spool/usher");
	if (c->max_descriptors)
		return;
	c->max_descriptors = 524288;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max < 524288)
		c->max_descriptors = (int64_t)limit.rlim_max;
}

static void make_usher(struct load *l)
{
	struct section *s = names_get(&l->titles, "usher");
	struct value_in in = { .world = &l->world, .kept = l->kept };
	struct conf *c = l->conf;

	for (size_t i = 0; i < n_usher_keys; i++) {
		const struct key *k = &usher_keys[i];
		char *why = NULL;

		if (k->preset)
			(void)value_parse(k, c, k->preset, &in, &why);
		free(why);	/* a wrong preset fails its test */
	}
	for (size_t i = 0; s && i < s->n; i++) {
		const struct entry *e = &s->v[i];
		struct conf_where *set = &c->set[key_index(e->key)];
		CLEANUP(freep) char *why = NULL;

		if (!set->file)
			*set = e->where;
		in.where = e->where;
		if (value_parse(e->key, c, e->value, &in, &why) < 0)
			load_error(l, e->where, "usher", e->key->name,
				   "%s; %s", why, e->key->help);
	}
	usher_defaults(l);
}

/* --- services ------------------------------------------------------------ */

/* The [defaults] of FILE, else of the main file. */
static const struct section *defaults_of(const struct load *l,
					 const char *file)
{
	const struct section *main = NULL;

	for (size_t i = 0; i < l->nsections; i++) {
		const struct section *s = l->sections[i];

		if (s->kind != SECTION_DEFAULTS)
			continue;
		if (s->where.file == file)
			return s;
		if (s->where.file == l->conf->files.v[0])
			main = s;
	}
	return main;
}

/* The values of [defaults] are checked once, in a service of nobody. */
static void check_defaults(struct load *l, const struct section *d)
{
	struct conf_service *s = xcalloc(1, sizeof(*s));
	struct value_in in = { .world = &l->world, .kept = l->kept };

	for (size_t i = 0; i < d->n; i++) {
		const struct entry *e = &d->v[i];
		CLEANUP(freep) char *why = NULL;

		in.where = e->where;
		if (value_parse(e->key, s, e->value, &in, &why) < 0)
			load_error(l, e->where, d->title, e->key->name,
				   "%s; %s", why, e->key->help);
	}
	conf_service_free(s);
}

/* No service can have its path. */
static void take_control(struct load *l)
{
	struct conf *c = l->conf;
	struct conf_where at = c->set[key_index(key_of_usher("control"))];
	struct door d = { "usher itself", c->control.text, at };

	if (c->control.text)
		(void)doors_take(l, &d, &c->control, "");
}

static void make_services(struct load *l)
{
	const struct section *defaults = NULL;
	const char *file = NULL;
	struct service_maker m;

	for (size_t i = 0; i < l->nsections; i++)
		if (l->sections[i]->kind == SECTION_DEFAULTS)
			check_defaults(l, l->sections[i]);
	service_maker_open(&m, l);
	for (size_t i = 0; i < l->nsections; i++) {
		const struct section *from = l->sections[i];
		struct conf_service *s;

		if (from->kind != SECTION_SERVICE)
			continue;
		if (from->where.file != file) {
			file = from->where.file;
			defaults = defaults_of(l, file);
		}
		s = service_make(&m, from, defaults);
		TAILQ_INSERT_TAIL(&l->conf->services, s, entry);
		names_put(l->conf->names, s->name, s);
		l->conf->nservices++;
		service_world(l, s, !m.unshaped);
	}
	service_maker_close(&m);
}

/* agent SERVICE: the service must be there. */
static void check_agents(struct load *l)
{
	struct conf *c = l->conf;
	struct conf_service *s, *t;

	TAILQ_FOREACH(s, &c->services, entry) {
		CLEANUP(freep) const char **words = NULL;
		struct conf_where at;
		const char *near;
		size_t n = 0;

		if (!s->agent_of || conf_find(c, s->agent_of))
			continue;
		words = xcalloc(c->nservices, sizeof(*words));
		TAILQ_FOREACH(t, &c->services, entry)
			words[n++] = t->name;
		near = text_nearest(s->agent_of, words, n);
		at = derive_where(s, key_index(key_of_service("builtin")));
		load_error(l, at, s->title, "builtin",
			   near ? "there is no service '%s'; did you mean %s?"
				: "there is no service '%s'",
			   s->agent_of, near);
	}
}

/* --- in all -------------------------------------------------------------- */

static void load_open(struct load *l, const struct conf_source *src)
{
	struct conf *c = xcalloc(1, sizeof(*c));

	*l = (struct load){ .src = src, .conf = c };
	c->refs = 1;
	c->path = xstrdup(src->path);
	c->names = xcalloc(1, sizeof(*c->names));
	c->set = xcalloc(n_usher_keys, sizeof(*c->set));
	TAILQ_INIT(&c->services);
	for (size_t i = 0; i < n_service_keys; i++)
		names_put(&l->service_keys, service_keys[i].name,
			  (void *)(uintptr_t)&service_keys[i]);
	for (size_t i = 0; i < n_usher_keys; i++)
		names_put(&l->usher_keys, usher_keys[i].name,
			  (void *)(uintptr_t)&usher_keys[i]);
}

static void load_close(struct load *l)
{
	for (size_t i = 0; i < l->nsections; i++) {
		struct section *s = l->sections[i];

		for (size_t j = 0; j < s->n; j++)
			free(s->v[j].value);
		free(s->v);
		free(s->title);
		free(s);
	}
	free(l->sections);
	free(l->told);
	names_free(&l->service_keys);
	names_free(&l->usher_keys);
	names_free(&l->titles);
	doors_free(l);
	free(l->ids);
	world_free(&l->world);
	conf_unref(&l->conf);
}

int conf_load(const struct conf_source *src, struct conf **out,
	      struct conf_report *rep)
{
	struct load l;
	int r;

	load_open(&l, src);
	r = files_read(&l);
	if (r == 0) {
		make_usher(&l);
		take_control(&l);
		make_services(&l);
		check_agents(&l);
	}
	report(&l, rep);
	if (r == 0 && l.nerrors)
		r = -EINVAL;
	if (r == 0)
		*out = TAKE(l.conf);
	else if (l.conf->control.path)
		rep->control = xstrdup(l.conf->control.path);
	load_close(&l);
	return r;
}
