/*
 * proxy - PROXY protocol headers; see proxy.h.
 */
#include "inlet/proxy.h"

bool proxy_wanted(const struct service *s, const struct conn *c)
{
	const struct conf_cidrs *from = &s->conf->accept_proxy;

	if (c->is_unix)
		return from->unix_peers;
	for (size_t i = 0; i < from->n; i++)
		if (addr_cidr_match(&from->v[i], &c->peer))
			return true;
	return false;
}

int proxy_begin(struct service *s, struct conn *c)
{
	(void)s;
	(void)c;
	return -1;
}

void proxy_drop(struct service *s)
{
	(void)s;
}

int proxy_adopt(struct service *s, int record)
{
	(void)s;
	(void)record;
	return -1;
}
