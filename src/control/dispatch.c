/*
 * dispatch - from messages to calls, and from calls to answers.
 *
 * Levels and arguments are judged here, once for every command; a handler
 * only does its job. Whatever descriptors a call leaves are closed.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "continuity/revive.h"
#include "control/commands.h"
#include "control/server.h"

/* Refusals that are logged in a second; a stranger must not fill the log. */
#define TALK_MOST 20

/* ---- a call's life ---- */

static void close_fds(struct call *c)
{
	for (int i = 0; i < c->nfds; i++)
		if (c->fds[i] >= 0)
			fd_drop(c->fds[i]);
	free(TAKE(c->fds));
	c->nfds = 0;
}

void dispatch_free(struct call *c)
{
	TAILQ_REMOVE(&c->control->calls, c, entry);
	if (c->client)
		client_pending(c->client, -1);
	close_fds(c);
	free(c->send_fds);
	json_decref(c->parameters);
	json_decref(c->reply);
	free(c->text);
	free(c);
}

void dispatch_orphan(struct call *c)
{
	c->client->call = NULL;
	c->client = NULL;
	if (c->drop) {
		c->drop(c);
		dispatch_free(c);
	}
}

/* ---- answers ---- */

static char *words(const struct call *c, json_t *parameters, bool continues,
		   size_t *len)
{
	CLEANUP(json_decrefp) json_t *out = json_object();
	char *text;

	if (c->error)
		json_put_text(out, "error", c->error);
	if (continues)
		json_put_bool(out, "continues", true);
	if (c->line && !c->error)
		json_object_update(out, parameters);
	else
		json_put(out, "parameters", json_incref(parameters));
	text = json_line(out, len);
	if (c->line) {
		text = xrealloc(text, *len + 2);
		text[*len] = '\n';
	}
	(*len)++;		/* the newline, or the NUL that ends it */
	return text;
}

static int say(struct call *c, json_t *parameters, bool continues, bool later)
{
	CLEANUP(freep) char *text = NULL;
	size_t len;

	if (!c->client || c->oneway)
		return 0;
	text = words(c, parameters, continues, &len);
	return client_say(c->client, text, len, c->send_fds, c->nsend, later);
}

size_t call_unread(const struct call *c)
{
	return c->client ? c->client->unread : 0;
}

void call_part(struct call *c, const char *text, size_t len)
{
	static const char head[] = "{\"parameters\":";
	size_t n = c->begun || c->len || c->line ? 0 : sizeof(head) - 1;

	c->text = xrealloc(c->text, c->len + n + len);
	memcpy(c->text + c->len, head, n);
	memcpy(c->text + c->len + n, text, len);
	c->len += n + len;
}

size_t call_flush(struct call *c)
{
	if (c->client && !c->oneway)
		client_say(c->client, c->text, c->len, NULL, 0, false);
	free(TAKE(c->text));
	c->len = 0;
	c->begun = true;
	return call_unread(c);
}

static void say_end(struct call *c)
{
	call_part(c, c->line ? "\n" : "}", c->line ? 1 : 2);
	call_flush(c);
}

void dispatch_answer(struct call *c, enum call_result result)
{
	struct client *cl = c->client;

	if (result == CALL_FAILED && !c->error)
		call_fail(c, ERROR_FAILED, "it did not work");
	if (c->text || c->begun) {
		say_end(c);
	} else if (say(c, c->reply, false, false) < 0) {
		c->nsend = 0;
		call_fail(c, ERROR_FAILED, "no descriptor is free to send");
		say(c, c->reply, false, false);
	}
	if (cl) {
		cl->call = NULL;
		client_poke(cl);
	}
	dispatch_free(c);
}

void call_finish(struct call *c, enum call_result result)
{
	dispatch_answer(c, result);
}

size_t call_continue(struct call *c, json_t *parameters)
{
	/* A line's client gets a line for each, without the word. */
	say(c, parameters, !c->line, true);
	json_decref(parameters);
	return call_unread(c);
}

/* ---- errors ---- */

static enum call_result fail(struct call *c, const char *name, char *text)
{
	json_object_clear(c->reply);
	json_put_text(c->reply, "message", text);
	c->error = name;
	free(text);
	return CALL_FAILED;
}

enum call_result call_fail(struct call *c, const char *name,
			   const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	return fail(c, name, text);
}

enum call_result call_invalid(struct call *c, const char *parameter,
			      const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	fail(c, ERROR_PARAMETER, text);
	json_put_text(c->reply, "parameter", parameter);
	return CALL_FAILED;
}

static enum call_result invalid_config(struct call *c, const char *text)
{
	json_t *errors = json_array();

	while (*text) {
		size_t n = strcspn(text, "\n");

		if (n > 0)
			json_array_append_new(errors, json_safe(text, n));
		text += n + (text[n] == '\n');
	}
	call_fail(c, ERROR_CONFIG, "%zu mistake%s; nothing was changed",
		  json_array_size(errors),
		  json_array_size(errors) == 1 ? "" : "s");
	json_put(c->reply, "errors", errors);
	return CALL_FAILED;
}

enum call_result call_errno(struct call *c, int error, const char *text)
{
	if (!text || !*text)
		text = strerror(-error);
	switch (-error) {
	case EINVAL:
		return invalid_config(c, text);
	case EBUSY:
		return call_fail(c, ERROR_BUSY, "%s", text);
	case ETIMEDOUT:
		return call_fail(c, ERROR_TIMED_OUT, "%s", text);
	default:
		return call_fail(c, ERROR_FAILED, "%s", text);
	}
}

/* ---- parameters ---- */

const char *call_text(const struct call *c, const char *key)
{
	return json_get_text(c->parameters, key, NULL);
}

bool call_flag(const struct call *c, const char *key)
{
	return json_get_bool(c->parameters, key, false);
}

int64_t call_duration(const struct call *c, const char *key, int64_t other)
{
	const char *text = call_text(c, key);
	int64_t ms;

	return text && text_duration(text, &ms) == 0 ? ms : other;
}

int call_fd(struct call *c, int *index)
{
	int64_t n = json_get_int(c->parameters, "fd", 0);

	if (c->nfds == 0) {
		call_fail(c, ERROR_DESCRIPTOR,
			  "no descriptor came with the call");
		return -1;
	}
	if (n < 0 || n >= c->nfds || c->fds[n] < 0) {
		call_invalid(c, "fd", "%d descriptors came, there is no %lld",
			     c->nfds, (long long)n);
		return -1;
	}
	*index = (int)n;
	return c->fds[n];
}

int call_take_fd(struct call *c, int index)
{
	return fd_take(&c->fds[index]);
}

/* ---- may they? ---- */

static struct service *named(struct call *c)
{
	const char *name = call_text(c, "service");

	return name ? model_find(c->u, name) : NULL;
}

static bool allowed(struct call *c, const struct command *cmd)
{
	struct client *cl = c->client;
	struct service *s;

	if (cl->level >= cmd->level)
		return true;
	if (!(cmd->flags & (COMMAND_TRIGGER | COMMAND_INJECT)))
		return false;
	s = named(c);
	return s && peer_granted(&cl->peer, cmd->flags & COMMAND_TRIGGER
				 ? &s->conf->trigger_allow
				 : &s->conf->inject_allow);
}

static bool talks(struct control *c)
{
	int64_t now = loop_now(c->u->loop);

	if (now - c->talk_ms >= 1000) {
		c->talk_ms = now;
		c->talked = 0;
	}
	return c->talked++ < TALK_MOST;
}

static void deny(struct call *c, const struct command *cmd)
{
	const char *key = cmd->flags & COMMAND_TRIGGER ? "trigger_allow"
			  : cmd->flags & COMMAND_INJECT ? "inject_allow"
			  : NULL;
	const char *needs = level_name(cmd->level);

	c->control->refused++;
	if (talks(c->control))
		log_notice("control: %s refused to uid %u pid %d: its level "
			   "is %s, %s is needed", cmd->word, c->uid,
			   (int)c->pid, level_name(c->client->level), needs);
	call_fail(c, ERROR_PERMISSION,
		  "%s needs level %s, uid %u has %s: see control_allow%s%s",
		  cmd->word, needs, c->uid, level_name(c->client->level),
		  key ? " and " : "", key ? key : "");
	json_put_text(c->reply, "level", needs);
}

/* So many names are looked through for a near one. */
#define NEAR_MOST 128

static void no_service(struct call *c, const char *name)
{
	const char *names[NEAR_MOST], *near;
	const struct service *s;
	size_t n = 0;

	TAILQ_FOREACH(s, &c->u->services, entry) {
		if (n == NEAR_MOST)
			break;
		names[n++] = s->name;
	}
	near = text_nearest(name, names, n);
	if (near)
		call_fail(c, ERROR_NO_SERVICE, "there is no service %s; did "
			  "you mean %s?", name, near);
	else
		call_fail(c, ERROR_NO_SERVICE, "there is no service %s; "
			  "status tells which there are", name);
	json_put_text(c->reply, "service", name);
}

static bool right(struct call *c, const struct command *cmd)
{
	const char *name = call_text(c, "service"), *why = NULL;
	char which[24];

	if (command_check(cmd, c->parameters, which, &why) < 0) {
		call_invalid(c, which, "%s: %s", which, why);
		return false;
	}
	c->service = named(c);
	if (name && !c->service && !(cmd->flags & COMMAND_NEW)) {
		no_service(c, name);
		return false;
	}
	if ((cmd->flags & COMMAND_STREAM) && !c->more && !c->line) {
		call_fail(c, "org.varlink.service.ExpectedMore",
			  "call it with more");
		return false;
	}
	return true;
}

static void tell(struct call *c, const struct command *cmd)
{
	CLEANUP(freep) char *what = json_line(c->parameters, NULL);
	struct log_about about = {
		.service = c->service ? c->service->name : NULL,
		.event = "control",
	};

	log_write(LOG_LEVEL_NOTICE, &about, "control: %s %s by uid %u pid %d",
		  cmd->word, what, c->uid, (int)c->pid);
}

void dispatch_run(struct call *c, const struct command *cmd)
{
	enum call_result result = CALL_FAILED;

	c->command = cmd;
	if (!allowed(c, cmd))
		deny(c, cmd);
	else if (right(c, cmd)) {
		if (cmd->flags & COMMAND_CHANGES)
			tell(c, cmd);
		c->client->call = c;
		revive_rest();		/* a command sees everything */
		result = cmd->handler(c);
	}
	if (result == CALL_LATER)
		close_fds(c);
	else
		dispatch_answer(c, result);
}

/* ---- messages ---- */

static struct call *call_new(struct client *cl, bool line)
{
	struct call *c = xcalloc(1, sizeof(*c));

	c->control = cl->control;
	c->u = cl->control->u;
	c->client = cl;
	c->line = line;
	c->uid = cl->peer.uid;
	c->pid = cl->peer.pid;
	c->began = loop_now(c->u->loop);
	c->reply = json_object();
	TAILQ_INSERT_TAIL(&c->control->calls, c, entry);
	return c;
}

struct call *dispatch_again(struct client *cl, bool line)
{
	cl->call = call_new(cl, line);
	return cl->call;
}

void dispatch_message(struct client *cl, const struct message *m,
		      int *fds, int nfds)
{
	struct call *c = call_new(cl, m->line);

	c->nfds = nfds;
	if (nfds > 0) {
		c->fds = xcalloc((size_t)nfds, sizeof(int));
		memcpy(c->fds, fds, (size_t)nfds * sizeof(int));
	}
	client_pending(cl, 1);
	if (m->line)
		line_message(c, m->text);
	else
		varlink_message(c, m->text, m->len);
}

static char *error_words(const char *error, const char *level,
			 const char *text, size_t *len)
{
	CLEANUP(json_decrefp) json_t *out = json_object();
	json_t *parameters = json_object();
	char *line;

	if (level)
		json_put_text(parameters, "level", level);
	json_put_text(parameters, "message", text);
	json_put_text(out, "error", error);
	json_put(out, "parameters", parameters);
	line = json_line(out, len);
	(*len)++;
	return line;
}

void dispatch_refuse(int fd, const char *error, const char *level,
		     const char *text)
{
	size_t len;
	CLEANUP(freep) char *line = error_words(error, level, text, &len);

	/* Who does not take it at once goes without. */
	(void)fd_send(fd, line, len, NULL, 0, MSG_DONTWAIT);
}

void dispatch_broken(struct client *cl, const char *text)
{
	size_t len;
	CLEANUP(freep) char *line = error_words(ERROR_FAILED, NULL, text, &len);

	log_info("control: uid %u pid %d: %s", cl->peer.uid,
		 (int)cl->peer.pid, text);
	(void)client_say(cl, line, len, NULL, 0, false);
}
