/*
 * handlers - which handler deals with a service's arrivals: a table.
 */
#include "action/action.h"
#include "backend/backend.h"
#include "builtin/builtin.h"
#include "relay/relay.h"
#include "work/pool.h"
#include "work/spawn.h"

static const struct handler *const by_handoff[] = {
	[HANDOFF_SPAWN] = &handler_spawn,
	[HANDOFF_PASS] = &handler_pass,
	[HANDOFF_SHARE] = &handler_share,
};

static const struct handler *const by_builtin[] = {
	[BUILTIN_ECHO] = &handler_echo,
	[BUILTIN_DISCARD] = &handler_discard,
	[BUILTIN_AGENT] = &handler_agent,
};

const struct handler *action_handler(const struct conf_service *cs)
{
	switch (cs->handler) {
	case HANDLER_RELAY:
		return cs->relay_workers ? &handler_pass : &handler_relay;
	case HANDLER_BACKEND:
		return &handler_backend;
	case HANDLER_BUILTIN:
		return by_builtin[cs->builtin];
	case HANDLER_EXEC:
		break;
	}
	return by_handoff[cs->handoff];
}
