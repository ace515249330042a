/*
 * peer - who is at the other end of a control connection; see the header.
 */
#include "control/peer.h"

#include <errno.h>
#include <unistd.h>

#include "base/fd.h"

int peer_get(int fd, struct peer *out)
{
	struct ucred cred;

	*out = (struct peer){ 0 };
	if (!fd_peercred(fd, &cred))
		return -ENOTCONN;
	out->uid = cred.uid;
	out->gid = cred.gid;
	out->pid = cred.pid;
	out->ngroups = fd_peergroups(fd, &out->groups);
	return 0;
}

void peer_free(struct peer *p)
{
	free(p->groups);
	*p = (struct peer){ 0 };
}

static bool in_group(const struct peer *p, gid_t gid)
{
	if (p->gid == gid)
		return true;
	for (int i = 0; i < p->ngroups; i++)
		if (p->groups[i] == gid)
			return true;
	return false;
}

static bool names(const struct conf_grant *g, const struct peer *p)
{
	switch (g->kind) {
	case GRANT_USER:
		return g->id == p->uid;
	case GRANT_GROUP:
		return in_group(p, g->id);
	case GRANT_ANYONE:
		return true;
	}
	return false;
}

enum conf_level peer_level(const struct peer *p,
			   const struct conf_grants *grants)
{
	bool user = false, group = false;
	enum conf_level by_user = LEVEL_NONE, by_group = LEVEL_NONE;
	enum conf_level others = LEVEL_READ;

	/* Never locked out of one's own daemon. */
	if (p->uid == 0 || p->uid == geteuid())
		return LEVEL_ADMIN;
	for (size_t i = 0; i < grants->n; i++) {
		const struct conf_grant *g = &grants->v[i];

		if (!names(g, p))
			continue;
		if (g->kind == GRANT_USER) {
			by_user = g->level;
			user = true;
		} else if (g->kind == GRANT_GROUP) {
			if (!group || g->level > by_group)
				by_group = g->level;
			group = true;
		} else {
			others = g->level;
		}
	}
	return user ? by_user : group ? by_group : others;
}

bool peer_granted(const struct peer *p, const struct conf_grants *grants)
{
	for (size_t i = 0; i < grants->n; i++)
		if (names(&grants->v[i], p))
			return true;
	return false;
}

const char *level_name(enum conf_level level)
{
	static const char *const names[] = {
		[LEVEL_NONE] = "none",
		[LEVEL_READ] = "read",
		[LEVEL_OPERATE] = "operate",
		[LEVEL_ADMIN] = "admin",
	};

	return names[level];
}
