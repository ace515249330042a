/*
 * strings - the types of keys whose value is text with a form of its own: when
 * a worker is ready, paths, messages, the program and its arguments, builtins.
 */
#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "conf/types.h"

#define UNUSED(in) (void)(in)

/* --- ready --------------------------------------------------------------- */

static const struct key_word readies[] = {
	{ "exec", READY_EXEC }, { "notify", READY_NOTIFY },
	{ "status", READY_STATUS }, { "probe", READY_PROBE }, { 0 },
};

int parse_ready(const struct key *k, void *base, const char *text,
		const struct value_in *in, char **why)
{
	struct conf_ready_value v = { 0 };
	struct addr probe;
	int64_t n;

	UNUSED(in);
	for (const struct key_word *w = readies; w->word; w++) {
		if (strcmp(w->word, text) == 0) {
			v.kind = (enum conf_ready)w->value;
			goto good;
		}
	}
	if (strncmp(text, "fd:", 3) == 0 &&
	    text_number(text + 3, 3, 255, &n) == 0) {
		v.kind = READY_FD;
		v.fd = (int)n;
	} else if (strncmp(text, "after:", 6) == 0 &&
		   text_duration(text + 6, &v.after) == 0) {
		v.kind = READY_AFTER;
	} else if (strncmp(text, "probe:", 6) == 0) {
		if (addr_parse(text + 6, &probe, why) < 0)
			return -EINVAL;
		if (probe.kind != ADDR_TCP && probe.kind != ADDR_UNIX) {
			*why = xasprintf("'%s': a probe connects to tcp: or "
					 "unix:", text);
			addr_free(&probe);
			return -EINVAL;
		}
		v.kind = READY_PROBE;
		v.probe = xmalloc(sizeof(probe));
		*v.probe = probe;
	} else {
		*why = xasprintf("'%s' is none of exec, notify, fd:N (N from 3 "
				 "to 255), status, probe:ADDRESS, after:TIME",
				 text);
		return -EINVAL;
	}
good:
	*(struct conf_ready_value *)key_field(k, base) = v;
	return 0;
}

void print_ready(const struct key *k, const void *base,
		 struct strv *out)
{
	const struct conf_ready_value *v = key_field(k, base);
	char buf[32];

	if (v->kind == READY_FD)
		strv_pushf(out, "fd:%d", v->fd);
	else if (v->kind == READY_AFTER)
		strv_pushf(out, "after:%s",
			   text_duration_print(v->after, buf, sizeof(buf)));
	else if (v->kind == READY_PROBE && v->probe) {
		CLEANUP(freep) char *options = value_options(&v->probe->opt);

		strv_pushf(out, "probe:%s%s", v->probe->text, options);
	} else {
		strv_push(out, xstrdup(key_word(readies, (int)v->kind)));
	}
}

bool same_ready(const struct key *k, const void *a, const void *b)
{
	const struct conf_ready_value *x = key_field(k, a);
	const struct conf_ready_value *y = key_field(k, b);

	if (x->kind != y->kind || x->fd != y->fd || x->after != y->after)
		return false;
	if (!x->probe || !y->probe)
		return x->probe == y->probe;
	return same_addr(x->probe, y->probe);
}

void free_ready(const struct key *k, void *base)
{
	struct conf_ready_value *v = key_field(k, base);

	if (v->probe)
		addr_free(v->probe);
	free(v->probe);
	*v = (struct conf_ready_value){ 0 };
}

/* --- strings ------------------------------------------------------------- */

static void set_string(const struct key *k, void *base, char *s)
{
	char **field = key_field(k, base);

	free(*field);
	*field = s;
}

int parse_string(const struct key *k, void *base, const char *text,
		 const struct value_in *in, char **why)
{
	UNUSED(in);
	UNUSED(why);
	set_string(k, base, xstrdup(text));
	return 0;
}

int parse_path(const struct key *k, void *base, const char *text,
	       const struct value_in *in, char **why)
{
	UNUSED(in);
	if (*text != '/') {
		*why = xasprintf("'%s' is no absolute path", text);
		return -EINVAL;
	}
	set_string(k, base, xstrdup(text));
	return 0;
}

void print_string(const struct key *k, const void *base,
		  struct strv *out)
{
	const char *s = *(char **)key_field(k, base);

	if (s)
		strv_push(out, xstrdup(s));
}

bool same_string(const struct key *k, const void *a, const void *b)
{
	return same_text(*(char **)key_field(k, a), *(char **)key_field(k, b));
}

void free_string(const struct key *k, void *base)
{
	set_string(k, base, NULL);
}

static const char escapes[] = "n\nr\rt\t\\\\";

int parse_message(const struct key *k, void *base, const char *text,
		  const struct value_in *in, char **why)
{
	CLEANUP(freep) char *out = xmalloc(strlen(text) + 1);
	char *to = out;

	UNUSED(in);
	for (; *text; text++) {
		const char *e = escapes;

		if (*text != '\\') {
			*to++ = *text;
			continue;
		}
		text++;
		while (*e && *e != *text)
			e += 2;
		if (!*e) {
			*why = xasprintf("'\\%.1s' is none of \\n, \\r, \\t, "
					 "\\\\", text);
			return -EINVAL;
		}
		*to++ = e[1];
	}
	*to = '\0';
	set_string(k, base, TAKE(out));
	return 0;
}

void print_message(const struct key *k, const void *base,
		   struct strv *out)
{
	const char *s = *(char **)key_field(k, base);
	char *text, *to;

	if (!s)
		return;
	text = to = xmalloc(strlen(s) * 2 + 1);
	for (; *s; s++) {
		const char *e = escapes;

		while (*e && e[1] != *s)
			e += 2;
		if (*e) {
			*to++ = '\\';
			*to++ = *e;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
	strv_push(out, text);
}

/* The program's own words: a path, and what argv[0] is. */
static int check_program(const char *path, char **why)
{
	CLEANUP(freep) char *full = NULL;

	if (*path == '/')
		return 0;
	if (!strchr(path, '/'))
		full = world_on_path(path);
	if (full)
		*why = xasprintf("'%s' has no path; %s is on PATH", path,
				 full);
	else
		*why = xasprintf("'%s' has no absolute path%s", path,
				 strchr(path, '/') ? "" : ", and nothing of "
				 "that name is on PATH");
	return -EINVAL;
}

int parse_exec(const struct key *k, void *base, const char *text,
	       const struct value_in *in, char **why)
{
	struct conf_service *s = base;
	struct strv words = { 0 };
	bool at = *text == '@';
	int r = text_split(text + at, &words);

	UNUSED(in);
	if (r < 0)
		*why = xstrdup(text_split_why(r));
	else if (words.n < 1u + at)
		*why = xasprintf(at ? "after '@' come the program's path and "
				      "its name"
				    : "no program");
	else
		r = check_program(words.v[0], why);
	if (*why) {
		strv_free(&words);
		return -EINVAL;
	}
	set_string(k, base, xstrdup(text));
	free(s->program);
	s->program = xstrdup(words.v[0]);
	strv_free(&s->argv);
	for (size_t i = at; i < words.n; i++)
		strv_push(&s->argv, xstrdup(words.v[i]));
	strv_free(&words);
	return r;
}

void free_exec(const struct key *k, void *base)
{
	struct conf_service *s = base;

	set_string(k, base, NULL);
	free(TAKE(s->program));
	strv_free(&s->argv);
}

int parse_builtin(const struct key *k, void *base, const char *text,
		  const struct value_in *in, char **why)
{
	struct conf_service *s = base;

	UNUSED(in);
	UNUSED(k);
	if (strcmp(text, "echo") == 0) {
		s->builtin = BUILTIN_ECHO;
	} else if (strcmp(text, "discard") == 0) {
		s->builtin = BUILTIN_DISCARD;
	} else if (strncmp(text, "agent ", 6) == 0) {
		s->builtin = BUILTIN_AGENT;
		free(s->agent_of);
		s->agent_of = xstrdup(text + 6 + strspn(text + 6, " \t"));
	} else {
		*why = xasprintf("'%s' is none of echo, discard, agent SERVICE",
				 text);
		return -EINVAL;
	}
	s->handler = HANDLER_BUILTIN;
	return 0;
}

void print_builtin(const struct key *k, const void *base,
		   struct strv *out)
{
	const struct conf_service *s = base;

	UNUSED(k);
	if (s->handler != HANDLER_BUILTIN)
		return;
	if (s->builtin == BUILTIN_AGENT)
		strv_pushf(out, "agent %s", s->agent_of);
	else
		strv_push(out, xstrdup(s->builtin == BUILTIN_ECHO ? "echo"
								  : "discard"));
}

bool same_builtin(const struct key *k, const void *a, const void *b)
{
	const struct conf_service *x = a, *y = b;

	UNUSED(k);
	return x->builtin == y->builtin && same_text(x->agent_of, y->agent_of);
}

void free_builtin(const struct key *k, void *base)
{
	struct conf_service *s = base;

	UNUSED(k);
	free(TAKE(s->agent_of));
	s->builtin = BUILTIN_ECHO;
}
