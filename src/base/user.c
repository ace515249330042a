/*
 * user - the user database: who a worker becomes (child.h's child_user).
 *
 * Asks nsswitch's sources and may block: at load only.
 */
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "base/child.h"
#include "base/text.h"

/* What an entry of the database may be long at most. */
#define ENTRY_MOST (1 << 20)

/* The _r forms: a reload asks in a thread. By USER's name, or by UID; what the
 * entry's pointers lie in is at *BUF, the caller's. 0 or -ENOENT. */
static int passwd_of(const char *user, int64_t uid, struct passwd *pw,
		     char **buf)
{
	struct passwd *found = NULL;
	int r = ERANGE;

	for (size_t room = 4096; r == ERANGE && room <= ENTRY_MOST;
	     room *= 4) {
		*buf = xrealloc(*buf, room);
		r = user ? getpwnam_r(user, pw, *buf, room, &found)
			 : getpwuid_r((uid_t)uid, pw, *buf, room, &found);
	}
	return found ? 0 : -ENOENT;
}

static int group_of(const char *group, gid_t *gid)
{
	CLEANUP(freep) char *buf = NULL;
	struct group gr, *found = NULL;
	int r = ERANGE;

	for (size_t room = 4096; r == ERANGE && room <= ENTRY_MOST;
	     room *= 4) {
		buf = xrealloc(buf, room);
		r = getgrnam_r(group, &gr, buf, room, &found);
	}
	if (!found)
		return -ENOENT;
	*gid = found->gr_gid;
	return 0;
}

/* A number that nobody has: it may be used. */
static void be_nobody(const char *user, int64_t uid, struct child_user *out)
{
	out->identity.uid = (uid_t)uid;
	out->identity.gid = (gid_t)uid;
	out->name = xstrdup(user);
	out->home = xstrdup("/");
	out->shell = xstrdup("/bin/sh");
}

static int find_passwd(const char *user, struct child_user *out)
{
	CLEANUP(freep) char *buf = NULL;
	struct passwd pw;
	int64_t uid;
	int r = passwd_of(user, 0, &pw, &buf);

	if (r < 0 && text_number(user, 0, UINT32_MAX - 1, &uid) == 0) {
		r = passwd_of(NULL, uid, &pw, &buf);
		if (r < 0)
			return be_nobody(user, uid, out), 0;
	}
	if (r < 0)
		return r;
	out->identity.uid = pw.pw_uid;
	out->identity.gid = pw.pw_gid;
	out->name = xstrdup(pw.pw_name);
	out->home = xstrdup(pw.pw_dir);
	out->shell = xstrdup(pw.pw_shell);
	return 0;
}

static int find_group(const char *group, gid_t *gid)
{
	int64_t number;

	if (group_of(group, gid) == 0)
		return 0;
	if (text_number(group, 0, UINT32_MAX - 1, &number) < 0)
		return -ENOENT;
	*gid = (gid_t)number;
	return 0;
}

static void find_groups(struct child_user *u)
{
	int n = 32;

	if (!u->name)
		return;
	for (;;) {
		int room = n;

		u->identity.groups = xrealloc(u->identity.groups,
					      sizeof(gid_t) * (size_t)room);
		if (getgrouplist(u->name, u->identity.gid, u->identity.groups,
				 &n) >= 0)
			break;
		if (n <= room)
			n = room * 2;
	}
	u->identity.ngroups = (size_t)n;
}

int child_user_find(const char *user, const char *group,
		    struct child_user *out, const char **missing)
{
	int r = 0;

	*out = (struct child_user){ 0 };
	out->identity.uid = getuid();
	out->identity.gid = getgid();
	if (user) {
		*missing = user;
		r = find_passwd(user, out);
	}
	if (r == 0 && group) {
		*missing = group;
		r = find_group(group, &out->identity.gid);
	}
	if (r < 0) {
		child_user_free(out);
		return r;
	}
	find_groups(out);
	out->identity.set_user = user || group;
	if (!user && group) {	/* as we are, with this group alone */
		out->identity.groups = xcalloc(1, sizeof(gid_t));
		out->identity.groups[0] = out->identity.gid;
		out->identity.ngroups = 1;
	}
	return 0;
}

void child_user_free(struct child_user *u)
{
	free(u->identity.groups);
	free(u->name);
	free(u->home);
	free(u->shell);
	*u = (struct child_user){ 0 };
}
