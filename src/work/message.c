/*
 * message - words for a worker; see message.h.
 *
 * Numbers are written by hand: this is done for every connection.
 */
#include "work/message.h"

#include <stdlib.h>
#include <string.h>

#include "work/launch.h"

static void put(struct message *m, const char *text, size_t len)
{
	if (len > m->room - m->len) {
		m->over = true;
		return;
	}
	memcpy(m->buf + m->len, text, len);
	m->len += len;
}

/* Its NUL goes along. */
static void word(void *arg, const char *text)
{
	put(arg, text, strlen(text) + 1);
}

static void number_word(struct message *m, const char *name, uint64_t value)
{
	char text[64], digits[20];
	size_t n = strlen(name), k = 0;

	memcpy(text, name, n);
	do
		digits[k++] = (char)('0' + value % 10);
	while ((value /= 10));
	while (k)
		text[n++] = digits[--k];
	text[n++] = 0;
	put(m, text, n);
}

static bool finish(struct message *m, size_t began, const struct service *s,
		   uint32_t generation, const struct message_load *load)
{
	put(m, "USHER_SERVICE=", 14);
	word(m, s->name);
	number_word(m, "USHER_GENERATION=", generation);
	number_word(m, "QUEUED=", load->queued);
	if (load->idle >= 0)
		number_word(m, "IDLE=", (uint64_t)load->idle);
	put(m, "", 1);
	if (m->over) {
		m->over = false;
		m->len = began;
		return false;
	}
	return true;
}

bool message_connection(struct message *m, const struct service *s,
			uint32_t generation, const struct conn *c,
			const struct message_load *load)
{
	size_t began = m->len;

	word(m, "connection");
	launch_words(c, word, m);
	return finish(m, began, s, generation, load);
}

bool message_trigger(struct message *m, const struct service *s,
		     uint32_t generation, const struct run *r,
		     const struct message_load *load)
{
	size_t began = m->len;

	word(m, "trigger");
	number_word(m, "TRIGGER=", r->id);
	if (r->text) {
		put(m, "MESSAGE=", 8);
		put(m, r->message, r->len);
		put(m, "", 1);
	} else {
		CLEANUP(freep) char *hex = text_hex(r->message, r->len);

		put(m, "MESSAGE_HEX=", 12);
		word(m, hex);
	}
	return finish(m, began, s, generation, load);
}

/* ---- read back ---- */

static bool value_of(const char *word, const char *name, const char **value)
{
	size_t n = strlen(name);

	if (strncmp(word, name, n) != 0)
		return false;
	*value = word + n;
	return true;
}

static void understand(const char *word, struct message_arrival *out)
{
	const struct {
		const char *name;
		const char **value;
	} known[] = {
		{ "MESSAGE=", &out->text },
		{ "MESSAGE_HEX=", &out->hex },
		{ "TCPREMOTEIP=", &out->remote_ip },
		{ "TCPREMOTEPORT=", &out->remote_port },
		{ "TCPLOCALIP=", &out->local_ip },
		{ "TCPLOCALPORT=", &out->local_port },
	};
	const char *id = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (value_of(word, known[i].name, known[i].value))
			return;
	if (value_of(word, "TRIGGER=", &id) ||
	    value_of(word, "SO_COOKIE=", &id))
		out->id = strtoull(id, NULL, 10);
}

bool message_next(const char *buf, size_t len, size_t *at,
		  struct message_arrival *out)
{
	size_t i = *at;

	*out = (struct message_arrival){ 0 };
	if (i >= len || buf[len - 1] != 0)
		return false;
	out->trigger = strcmp(buf + i, "trigger") == 0;
	for (; i < len && buf[i]; i += strlen(buf + i) + 1)
		understand(buf + i, out);
	*at = i + 1;
	return true;
}
