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

static int find_passwd(const char *user, struct child_user *out)
{
	const struct passwd *pw;
	int64_t uid;

	errno = 0;
	pw = getpwnam(user);
	if (!pw && text_number(user, 0, UINT32_MAX - 1, &uid) == 0) {
		pw = getpwuid((uid_t)uid);
		if (!pw) {	/* a number that nobody has: it may be used */
			out->identity.uid = (uid_t)uid;
			out->identity.gid = (gid_t)uid;
			out->name = xstrdup(user);
			out->home = xstrdup("/");
			out->shell = xstrdup("/bin/sh");
			return 0;
		}
	}
	if (!pw)
		return -ENOENT;
	out->identity.uid = pw->pw_uid;
	out->identity.gid = pw->pw_gid;
	out->name = xstrdup(pw->pw_name);
	out->home = xstrdup(pw->pw_dir);
	out->shell = xstrdup(pw->pw_shell);
	return 0;
}

static int find_group(const char *group, gid_t *gid)
{
	const struct group *gr = getgrnam(group);
	int64_t number;

	if (gr)
		*gid = gr->gr_gid;
	else if (text_number(group, 0, UINT32_MAX - 1, &number) == 0)
		*gid = (gid_t)number;
	else
		return -ENOENT;
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
