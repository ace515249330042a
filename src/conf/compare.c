/*
 * compare - what differs between two services, and between two [usher]
 * sections, by the table of keys.
 */
#include <string.h>

#include "conf/conf.h"
#include "conf/keys.h"
#include "conf/values.h"

/* The same words can mean other addresses than last time. */
static bool same_names(const struct conf_addrs *a, const struct conf_addrs *b)
{
	for (size_t i = 0; i < a->n; i++) {
		const struct addr *x = &a->v[i].addr, *y = &b->v[i].addr;

		if (!x->nnames || !y->nnames)
			continue;	/* not looked up */
		if (x->nnames != y->nnames)
			return false;
		for (size_t j = 0; j < x->nnames; j++)
			if (x->names[j].len != y->names[j].len ||
			    memcmp(&x->names[j].u, &y->names[j].u,
				   x->names[j].len) != 0)
				return false;
	}
	return true;
}

static bool same_key(const struct key *k, const struct conf_service *a,
		     const struct conf_service *b)
{
	const struct conf_addrs *x, *y;

	if (!value_same(k, a, b))
		return false;
	if (k->type == T_ADDRS) {
		x = (const void *)((const char *)a + k->offset);
		y = (const void *)((const char *)b + k->offset);
		return same_names(x, y);
	}
	/* The user database may have changed under a name. */
	if (strcmp(k->name, "user") == 0)
		return a->who.identity.set_user == b->who.identity.set_user &&
		       a->who.identity.uid == b->who.identity.uid &&
		       a->who.identity.gid == b->who.identity.gid;
	return true;
}

/* A FIFO by its name lies in the spool. */
static bool has_spooled(const struct conf_addrs *list)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->v[i].addr.kind == ADDR_FIFO &&
		    *list->v[i].addr.path != '/')
			return true;
	return false;
}

static bool same_spool(const struct conf_service *a,
		       const struct conf_service *b)
{
	return (!has_spooled(&a->listen) && !has_spooled(&a->trigger)) ||
	       strcmp(a->spool, b->spool) == 0;
}

static void tell(struct strv *changed, const char *name)
{
	if (changed)
		strv_push(changed, xstrdup(name));
}

static bool of_relay(const struct key *k)
{
	static const char *const names[] = {
		"relay", "balance", "max_fails", "fail_timeout",
		"relay_workers", "send_proxy", "connect_timeout",
		"relay_idle_timeout", "on_full", "refuse_message",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(names[i], k->name) == 0)
			return true;
	return false;
}

unsigned conf_compare(const struct conf_service *a,
		      const struct conf_service *b, struct strv *changed)
{
	unsigned diff = CONF_SAME;

	for (size_t i = 0; i < n_service_keys; i++) {
		const struct key *k = &service_keys[i];
		bool rules_again = strcmp(k->name, "deny") == 0;

		if (rules_again || same_key(k, a, b))
			continue;
		diff |= k->change;
		/* Workers under share were given the sockets at their start. */
		if (b->handler == HANDLER_EXEC &&
		    b->handoff == HANDOFF_SHARE &&
		    strcmp(k->name, "listen") == 0)
			diff |= CONF_WORKERS;
		/* Its processes were given the settings at their start. */
		if (b->handler == HANDLER_RELAY && b->relay_workers &&
		    of_relay(k))
			diff |= CONF_WORKERS;
		tell(changed, k->type == T_RULES ? "allow, deny" : k->name);
	}
	if (a->handler != b->handler)
		diff |= CONF_WORKERS;
	if (!same_spool(a, b)) {
		diff |= CONF_DOORS;
		tell(changed, "spool");
	}
	return diff;
}

char *conf_compare_usher(const struct conf *a, const struct conf *b,
			 unsigned change)
{
	char *text = NULL;

	for (size_t i = 0; i < n_usher_keys; i++) {
		const struct key *k = &usher_keys[i];
		CLEANUP(freep) char *before = NULL;

		if (k->change != change || value_same(k, a, b))
			continue;
		before = text;
		text = xasprintf("%s%s%s", before ? before : "",
				 before ? ", " : "", k->name);
	}
	return text;
}
