/*
 * import_xinetd - xinetd.conf(5): services, defaults, include and includedir.
 *
 * Here files become attributes; what those become is import_xinetd_service's.
 */
#include "conf/import_xinetd.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NEST 8		/* include within include */

/* ---- attributes ---- */

struct attr *xinetd_find(struct attrs *a, const char *name)
{
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->v[i].name, name) == 0)
			return &a->v[i];
	return NULL;
}

static void attrs_free(struct attrs *a)
{
	for (size_t i = 0; i < a->n; i++) {
		free(a->v[i].name);
		strv_free(&a->v[i].values);
	}
	free(a->v);
	*a = (struct attrs){ 0 };
}

static void take_away(struct strv *from, const struct strv *what)
{
	struct strv kept = { 0 };

	for (size_t i = 0; i < from->n; i++) {
		bool gone = false;

		for (size_t k = 0; k < what->n; k++)
			gone |= strcmp(from->v[i], what->v[k]) == 0;
		if (!gone)
			strv_push(&kept, xstrdup(from->v[i]));
	}
	strv_free(from);
	*from = kept;
}

void xinetd_set(struct attrs *a, const char *name, char op,
		struct strv *values, struct import_at at)
{
	struct attr *old = xinetd_find(a, name);

	if (!old) {
		a->v = xrealloc(a->v, (a->n + 1) * sizeof(*a->v));
		old = &a->v[a->n++];
		*old = (struct attr){ .name = xstrdup(name), .at = at };
	} else if (op == '=') {
		strv_free(&old->values);
	}
	if (op == '-')
		take_away(&old->values, values);
	else
		strv_extend(&old->values, values);
	strv_free(values);
}

/* ---- the file ---- */

static int read_file(struct xinetd *x, const char *file);

/* Files of DIR in order, without those that have a dot or end in ~. */
static int plain_name(const struct dirent *d)
{
	size_t len = strlen(d->d_name);

	return !strchr(d->d_name, '.') && d->d_name[len - 1] != '~';
}

static void include(struct xinetd *x, struct import_at at, const char *word,
		    const char *path)
{
	bool dir = strcmp(word, "includedir") == 0;
	struct dirent **list;
	int n, r;

	if (!dir) {
		r = read_file(x, path);
		if (r < 0)
			import_missed(x->im, at, "include %s: %s", path,
				      strerror(-r));
		return;
	}
	n = scandir(path, &list, plain_name, alphasort);
	if (n < 0) {
		import_missed(x->im, at, "includedir %s: %s", path,
			      strerror(errno));
		return;
	}
	for (int i = 0; i < n; i++) {
		CLEANUP(freep) char *name =
			xasprintf("%s/%s", path, list[i]->d_name);

		r = read_file(x, name);
		if (r < 0)
			import_missed(x->im, at, "%s: %s", name, strerror(-r));
		free(list[i]);
	}
	free(list);
}

/* "name += value ...", the operators perhaps without blanks around them. */
static bool assignment(struct attrs *a, char *text, struct import_at at)
{
	char *eq = strchr(text, '='), *end;
	struct strv values;
	char op = '=';

	if (!eq || eq == text)
		return false;
	import_split(eq + 1, &values);
	end = eq;
	if (end[-1] == '+' || end[-1] == '-')
		op = *--end;
	*end = 0;
	text += strspn(text, " \t");
	text[strcspn(text, " \t")] = 0;
	xinetd_set(a, text, op, &values, at);
	return *text != 0;
}

/* What stands between braces. */
static void block(struct xinetd *x, FILE *f, struct import_at *at,
		  struct attrs *a)
{
	CLEANUP(freep) char *text = NULL;
	size_t room = 0;

	while (getline(&text, &room, f) >= 0) {
		char *p = text + strspn(text, " \t");

		at->line++;
		p[strcspn(p, "\r\n")] = 0;
		if (*p == '}')
			return;
		if (*p == 0 || *p == '#' || *p == '{')
			continue;
		if (!assignment(a, p, *at))
			import_missed(x->im, *at, "not understood: %s", p);
	}
}

static void read_line(struct xinetd *x, FILE *f, struct import_at *at,
		      const struct strv *w)
{
	struct import_at begin = *at;
	struct attrs a = { 0 };

	if (strncmp(w->v[0], "include", 7) == 0 && w->n == 2) {
		include(x, *at, w->v[0], w->v[1]);
	} else if (strcmp(w->v[0], "defaults") == 0) {
		block(x, f, at, &x->defaults);
	} else if (strcmp(w->v[0], "service") == 0 && w->n >= 2) {
		block(x, f, at, &a);
		xinetd_service(x, w->v[1], &a, begin);
		attrs_free(&a);
	} else {
		import_missed(x->im, *at, "not understood: %s", w->v[0]);
	}
}

static int read_file(struct xinetd *x, const char *file)
{
	struct import_at at = { NULL, 0 };
	CLEANUP(freep) char *text = NULL;
	size_t room = 0;
	FILE *f = x->depth < NEST ? fopen(file, "re") : NULL;

	if (!f)
		return x->depth < NEST ? -errno : -ELOOP;
	x->depth++;
	strv_push(&x->files, xstrdup(file));
	at.file = x->files.v[x->files.n - 1];
	while (getline(&text, &room, f) >= 0) {
		struct strv w;

		at.line++;
		if (*text == '#')
			continue;
		import_split(text, &w);
		if (w.n > 0)
			read_line(x, f, &at, &w);
		strv_free(&w);
	}
	x->depth--;
	fclose(f);
	return 0;
}

int import_xinetd(struct import *im, const char *file)
{
	struct xinetd x = { .im = im };
	int r = read_file(&x, file);

	attrs_free(&x.defaults);
	strv_free(&x.files);
	return r;
}
