/*
 * conf - the life of a loaded configuration: shared, found, freed.
 */
#include "conf/conf.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

#include "conf/keys.h"
#include "conf/names.h"
#include "conf/service.h"
#include "conf/values.h"

struct conf *conf_ref(struct conf *c)
{
	c->refs++;
	return c;
}

struct conf_service *conf_find(struct conf *c, const char *name)
{
	return names_get(c->names, name);
}

void conf_service_free(struct conf_service *s)
{
	for (size_t i = 0; i < n_service_keys; i++)
		value_free(&service_keys[i], s);
	child_user_free(&s->who);
	free(s->broken);
	free(s->name);
	free(s->title);
	free(s->set);
	free(s);
}

void conf_unref(struct conf **conf)
{
	struct conf *c = TAKE(*conf);
	struct conf_service *s;

	if (!c)
		return;
	assert(c->refs > 0);
	if (--c->refs > 0)
		return;
	names_free(c->names);
	free(c->names);
	if (c->block) {
		munmap(c->block, c->block_len);
		return;
	}
	while ((s = TAILQ_FIRST(&c->services))) {
		TAILQ_REMOVE(&c->services, s, entry);
		conf_service_free(s);
	}
	for (size_t i = 0; i < n_usher_keys; i++)
		value_free(&usher_keys[i], c);
	for (size_t i = 0; i < c->files.n; i++)
		free(c->texts[i].text);
	free(c->texts);
	strv_free(&c->files);
	free(c->path);
	free(c->set);
	free(c);
}

const struct conf_where *conf_usher_where(const struct conf *c,
					  const char *key)
{
	for (size_t i = 0; i < n_usher_keys; i++)
		if (strcmp(usher_keys[i].name, key) == 0)
			return c->set[i].file ? &c->set[i] : NULL;
	return NULL;
}

void conf_report_free(struct conf_report *r)
{
	strv_free(&r->errors);
	strv_free(&r->notes);
	free(TAKE(r->control));
}
