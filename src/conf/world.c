/*
 * world - users, groups, programs and usher's own rights, each asked once.
 */
#include "conf/world.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct world_user {
	char *key;
	struct child_user user;
	int result;
	bool group_missing;
};

struct world_program {
	char *path;
	char *why;	/* NULL: it can be executed */
};

static struct world_user *look_up(const char *key, const char *user,
				  const char *group)
{
	struct world_user *u = xcalloc(1, sizeof(*u));
	const char *missing = NULL;

	u->key = xstrdup(key);
	u->result = child_user_find(user, group, &u->user, &missing);
	u->group_missing = group && missing == group;
	return u;
}

int world_user(struct world *w, const char *user, const char *group,
	       const struct child_user **out, const char **missing)
{
	CLEANUP(freep) char *key = xasprintf("%s:%s", user ? user : "",
					     group ? group : "");
	struct world_user *u = names_get(&w->users, key);

	if (!u) {
		u = look_up(key, user, group);
		names_put(&w->users, u->key, u);
	}
	*out = &u->user;
	*missing = u->group_missing || !user ? group : user;
	return u->result;
}

static char *copy(const char *s)
{
	return s ? xstrdup(s) : NULL;
}

void world_user_copy(struct child_user *to, const struct child_user *from)
{
	const struct child_identity *id = &from->identity;

	*to = *from;
	to->identity.groups = NULL;
	if (id->ngroups > 0) {
		size_t size = id->ngroups * sizeof(*id->groups);

		to->identity.groups = xmalloc(size);
		memcpy(to->identity.groups, id->groups, size);
	}
	to->name = copy(from->name);
	to->home = copy(from->home);
	to->shell = copy(from->shell);
}

static char *judge_program(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return xasprintf("%s: %s", path, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return xasprintf("%s is a directory", path);
	if (!S_ISREG(st.st_mode))
		return xasprintf("%s is no program", path);
	/* Root may execute what anybody may; others: who it is for. */
	if ((st.st_mode & 0111) == 0)
		return xasprintf("%s is not executable; chmod +x", path);
	return NULL;
}

const char *world_program(struct world *w, const char *path)
{
	struct world_program *p = names_get(&w->programs, path);

	if (!p) {
		p = xcalloc(1, sizeof(*p));
		p->path = xstrdup(path);
		p->why = judge_program(path);
		names_put(&w->programs, p->path, p);
	}
	return p->why;
}

char *world_on_path(const char *word)
{
	const char *path = getenv("PATH");

	if (!path)
		path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin";
	while (*path) {
		size_t n = strcspn(path, ":");
		CLEANUP(freep) char *full = xasprintf("%.*s/%s", (int)n, path,
						      word);
		CLEANUP(freep) char *why = judge_program(full);

		if (!why && *full == '/')
			return TAKE(full);
		path += n + (path[n] == ':');
	}
	return NULL;
}

static bool has_cap(struct world *w, int cap)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = { 0 };

	if (!w->caps_known) {
		if (syscall(SYS_capget, &head, data) == 0)
			w->caps = data[0].effective |
				  (uint64_t)data[1].effective << 32;
		w->caps_known = true;
	}
	return w->caps >> cap & 1;
}

bool world_may_become(struct world *w, const struct child_identity *who)
{
	if (!who->set_user)
		return true;
	if (!has_cap(w, CAP_SETUID) &&
	    (who->uid != getuid() || who->uid != geteuid()))
		return false;
	return has_cap(w, CAP_SETGID) ||
	       (who->gid == getgid() && who->gid == getegid());
}

bool world_may_chroot(struct world *w)
{
	return has_cap(w, CAP_SYS_CHROOT);
}

bool world_may_bind(struct world *w, unsigned port)
{
	unsigned first = 1024;
	FILE *f;

	if (port == 0 || has_cap(w, CAP_NET_BIND_SERVICE))
		return true;
	f = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "re");
	if (f) {
		if (fscanf(f, "%u", &first) != 1)
			first = 1024;
		fclose(f);
	}
	return port >= first;
}

static void free_user(void *value)
{
	struct world_user *u = value;

	child_user_free(&u->user);
	free(u->key);
	free(u);
}

static void free_program(void *value)
{
	struct world_program *p = value;

	free(p->path);
	free(p->why);
	free(p);
}

void world_free(struct world *w)
{
	names_each(&w->users, free_user);
	names_free(&w->users);
	names_each(&w->programs, free_program);
	names_free(&w->programs);
}
