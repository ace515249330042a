/*
 * import_main_cf - what Postfix's main.cf(5) says, for master.cf.
 *
 * main.cf is read beside master.cf, and only for what Postfix's own master
 * reads of it: directories, the mail owner, interfaces, the process limit,
 * where the log goes. A parameter that is not set is as Postfix has it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/import_postfix.h"

/* A parameter names others, those others; further is a circle. */
#define DEPTH_MAX 8

static const struct postfix_param defaults[] = {
	{ (char *)"queue_directory", (char *)"/var/spool/postfix" },
	{ (char *)"mail_owner", (char *)"postfix" },
	{ (char *)"default_process_limit", (char *)"100" },
	{ (char *)"inet_interfaces", (char *)"all" },
	{ (char *)"inet_protocols", (char *)"all" },
	{ (char *)"syslog_name", (char *)"postfix" },
	{ (char *)"compatibility_level", (char *)"0" },
	{ (char *)"postlog_service_name", (char *)"postlog" },
};

static const char *raw(const struct postfix *p, const char *name)
{
	for (size_t i = 0; i < p->n; i++)
		if (strcmp(p->v[i].name, name) == 0)
			return p->v[i].value;
	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++)
		if (strcmp(defaults[i].name, name) == 0)
			return defaults[i].value;
	return "";
}

/* $name, ${name} and $(name) replaced. Allocated. */
static char *expand(const struct postfix *p, const char *s, int depth)
{
	char *out = xstrdup("");

	while (*s) {
		size_t plain = strcspn(s, "$");
		CLEANUP(freep) char *old = out;
		CLEANUP(freep) char *name = NULL;
		CLEANUP(freep) char *value = NULL;
		size_t len;

		if (plain > 0 || depth == 0) {
			plain += plain == 0;
			out = xasprintf("%s%.*s", old, (int)plain, s);
			s += plain;
			continue;
		}
		s++;
		s += *s == '{' || *s == '(';
		len = strspn(s, "abcdefghijklmnopqrstuvwxyz_0123456789");
		name = xstrndup(s, len);
		s += len;
		s += *s == '}' || *s == ')';
		value = expand(p, raw(p, name), depth - 1);
		out = xasprintf("%s%s", old, value);
	}
	return out;
}

char *postfix_param(const struct postfix *p, const char *name)
{
	return expand(p, raw(p, name), DEPTH_MAX);
}

int postfix_each_line(const char *file,
		      void (*fn)(void *arg, char *line, unsigned number),
		      void *arg)
{
	CLEANUP(freep) char *text = NULL;
	CLEANUP(freep) char *all = NULL;
	unsigned number = 0, began = 0;
	size_t room = 0;
	FILE *f = fopen(file, "re");

	if (!f)
		return -errno;
	while (getline(&text, &room, f) >= 0) {
		char *p = text + strspn(text, " \t\r\n");

		number++;
		if (*p == 0 || *p == '#')
			continue;
		text[strcspn(text, "\r\n")] = 0;
		if (p > text && all) {
			char *more = xasprintf("%s %s", all, p);

			free(all);
			all = more;
			continue;
		}
		if (all)
			fn(arg, all, began);
		free(all);
		all = xstrdup(p);
		began = number;
	}
	if (all)
		fn(arg, all, began);
	fclose(f);
	return 0;
}

static void on_param(void *arg, char *line, unsigned number)
{
	struct postfix *p = arg;
	char *eq = strchr(line, '='), *end;

	(void)number;
	if (!eq)
		return;
	*eq = 0;
	line[strcspn(line, " \t")] = 0;
	eq += 1 + strspn(eq + 1, " \t");
	for (end = eq + strlen(eq); end > eq && strchr(" \t", end[-1]); end--)
		end[-1] = 0;
	/* The last one counts. */
	for (size_t i = 0; i < p->n; i++)
		if (strcmp(p->v[i].name, line) == 0) {
			free(p->v[i].value);
			p->v[i].value = xstrdup(eq);
			return;
		}
	p->v = xrealloc(p->v, (p->n + 1) * sizeof(*p->v));
	p->v[p->n++] = (struct postfix_param){ xstrdup(line), xstrdup(eq) };
}

int postfix_main_cf(struct postfix *p, const char *file)
{
	return postfix_each_line(file, on_param, p);
}

void postfix_forget(struct postfix *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->v[i].name);
		free(p->v[i].value);
	}
	free(p->v);
	p->v = NULL;
	p->n = 0;
}

char *postfix_daemon_directory(const struct postfix *p)
{
	static const char *const usual[] = {
		"/usr/lib/postfix/sbin", "/usr/libexec/postfix",
		"/usr/lib/postfix",
	};
	char *set = postfix_param(p, "daemon_directory");

	for (size_t i = 0; !*set && i < ARRAY_SIZE(usual); i++) {
		CLEANUP(freep) char *master =
			xasprintf("%s/master", usual[i]);

		if (access(master, X_OK) == 0) {
			free(set);
			return xstrdup(usual[i]);
		}
	}
	if (*set)
		return set;
	free(set);
	return xstrdup(usual[0]);
}
