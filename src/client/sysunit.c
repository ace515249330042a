/*
 * sysunit - what systemd says of a unit; see sysunit.h.
 *
 * As root over systemd's own socket, which is there before and after the
 * message bus is, and else over that.
 */
#include "client/sysunit.h"

#include <errno.h>

#include "base/mem.h"

#ifdef HAVE_SYSTEMD
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define DESTINATION "org.freedesktop.systemd1"
#define MANAGER     DESTINATION ".Manager"
#define UNIT        DESTINATION ".Unit"
#define PRIVATE     "unix:path=/run/systemd/private"
#define LOOK_MS     50
#define LEFT_MAX    4096

/*
 * The control group that systemd put PID into. Read by ourselves: libsystemd
 * looks at process 1 as well, which ProtectProc= hides.
 */
static char *group_of(pid_t pid)
{
	CLEANUP(freep) char *self = xstrdup("/proc/self/cgroup");
	CLEANUP(freep) char *path = pid ? xasprintf("/proc/%d/cgroup",
						    (int)pid) : TAKE(self);
	char line[4096], *found = NULL;
	FILE *f = fopen(path, "re");

	/* It uses one of two hierarchies; in the other we are at its top. */
	while (f && !found && fgets(line, sizeof(line), f)) {
		char *group = strstr(line, "::") ?: line;

		if (group == line)
			group = strstr(line, ":name=systemd:");
		if (!group)
			continue;
		group += strcspn(group, "/");
		group[strcspn(group, "\n")] = 0;
		if (group[0] && group[1])
			found = xstrdup(group);
	}
	if (f)
		fclose(f);
	return found;
}

static bool is_service(const char *name)
{
	size_t n = strlen(name);

	return n > 8 && strcmp(name + n - 8, ".service") == 0;
}

int sysunit_of(pid_t pid, struct sysunit *out)
{
	CLEANUP(freep) char *group = group_of(pid);
	char *rest = group;

	*out = (struct sysunit){ 0 };
	if (!group || sd_booted() <= 0)
		return -ENOENT;
	/* The innermost; user@1000.service has a manager of its own. */
	for (char *part; (part = strsep(&rest, "/"));) {
		if (strncmp(part, "user@", 5) == 0) {
			out->user = true;
		} else if (is_service(part)) {
			free(out->name);
			out->name = xstrdup(part);
		}
	}
	return out->name ? 0 : -ENOENT;
}

void sysunit_free(struct sysunit *u)
{
	free(TAKE(u->name));
}

/* ---- asking ---- */

static void closep(sd_bus **b)
{
	sd_bus_flush_close_unref(*b);
}

static int open_private(sd_bus **out)
{
	CLEANUP(closep) sd_bus *b = NULL;
	int r = sd_bus_new(&b);

	if (r >= 0)
		r = sd_bus_set_address(b, PRIVATE);
	if (r >= 0)
		r = sd_bus_start(b);
	if (r >= 0)
		*out = TAKE(b);
	return r;
}

static int open_bus(const struct sysunit *u, sd_bus **out)
{
	if (u->user)
		return sd_bus_open_user(out);
	if (geteuid() == 0 && open_private(out) >= 0)
		return 0;
	return sd_bus_open_system(out);
}

/* The unit's object, of the ones that are loaded. */
static int find(sd_bus *b, const struct sysunit *u, char **path)
{
	sd_bus_message *reply = NULL;
	const char *text;
	int r = sd_bus_call_method(b, DESTINATION,
				   "/org/freedesktop/systemd1", MANAGER,
				   "GetUnit", NULL, &reply, "s", u->name);

	if (r >= 0)
		r = sd_bus_message_read(reply, "o", &text);
	if (r >= 0)
		*path = xstrdup(text);
	sd_bus_message_unref(reply);
	return r < 0 ? r : 0;
}

int sysunit_is_main(const struct sysunit *u, pid_t pid)
{
	CLEANUP(closep) sd_bus *b = NULL;
	CLEANUP(freep) char *path = NULL;
	uint32_t main_pid = 0;
	int r = open_bus(u, &b);

	if (r >= 0)
		r = find(b, u, &path);
	if (r >= 0)
		r = sd_bus_get_property_trivial(b, DESTINATION, path,
						DESTINATION ".Service",
						"MainPID", NULL, 'u',
						&main_pid);
	return r < 0 ? r : (pid_t)main_pid == pid;
}

static int read_job(sd_bus *b, const char *unit_path)
{
	sd_bus_message *reply = NULL;
	CLEANUP(freep) char *type = NULL;
	const char *path;
	uint32_t id = 0;
	int r = sd_bus_get_property(b, DESTINATION, unit_path, UNIT, "Job",
				    NULL, &reply, "(uo)");

	if (r >= 0)
		r = sd_bus_message_read(reply, "(uo)", &id, &path);
	if (r >= 0 && id != 0)
		r = sd_bus_get_property_string(b, DESTINATION, path,
					       DESTINATION ".Job", "JobType",
					       NULL, &type);
	sd_bus_message_unref(reply);
	if (r < 0)
		return r;
	if (id == 0)
		return SYSUNIT_NO_JOB;
	return strcmp(type, "stop") == 0 ? SYSUNIT_STOP : SYSUNIT_OTHER_JOB;
}

int sysunit_job(const struct sysunit *u)
{
	CLEANUP(closep) sd_bus *b = NULL;
	CLEANUP(freep) char *path = NULL;
	int r = open_bus(u, &b);

	if (r >= 0)
		r = find(b, u, &path);
	return r < 0 ? r : read_job(b, path);
}

int sysunit_stop(const struct sysunit *u, char **why)
{
	CLEANUP(closep) sd_bus *b = NULL;
	sd_bus_error e = SD_BUS_ERROR_NULL;
	int r = open_bus(u, &b);

	*why = NULL;
	if (r >= 0)
		r = sd_bus_call_method(b, DESTINATION,
				       "/org/freedesktop/systemd1", MANAGER,
				       "StopUnit", &e, NULL, "ss", u->name,
				       "replace");
	if (r < 0)
		*why = xstrdup(e.message ?: strerror(-r));
	if (r == -EPERM || sd_bus_error_has_name(&e,
			"org.freedesktop.DBus.Error."
			"InteractiveAuthorizationRequired"))
		r = -EACCES;
	sd_bus_error_free(&e);
	return r < 0 ? r : 0;
}

int sysunit_wait_stopped(const struct sysunit *u)
{
	CLEANUP(closep) sd_bus *b = NULL;
	CLEANUP(freep) char *path = NULL;
	CLEANUP(freep) char *state = NULL;
	int r = open_bus(u, &b);

	if (r >= 0)
		r = find(b, u, &path);
	while (r >= 0) {
		free(TAKE(state));
		r = sd_bus_get_property_string(b, DESTINATION, path, UNIT,
					       "ActiveState", NULL, &state);
		if (r >= 0 && strcmp(state, "inactive") == 0)
			return 0;
		if (r >= 0 && strcmp(state, "failed") == 0)
			return -EIO;
		poll(NULL, 0, LOOK_MS);
	}
	/* A unit that nobody needs any more is not even loaded. */
	return r == -ENOENT || r == -EBADR ? 0 : r;
}

/* ---- what is left ---- */

/* The processes of GROUP but this one; at most MAX. */
static int left(const char *group, pid_t *pids, int max)
{
	static const char *const tops[] = { "", "/systemd", "/unified" };
	FILE *f = NULL;
	int n = 0, pid;

	for (size_t i = 0; i < ARRAY_SIZE(tops) && !f; i++) {
		CLEANUP(freep) char *path = xasprintf(
			"/sys/fs/cgroup%s%s/cgroup.procs", tops[i], group);

		f = fopen(path, "re");
	}
	if (!f)
		return 0;
	while (n < max && fscanf(f, "%d", &pid) == 1)
		if (pid > 0 && pid != getpid())
			pids[n++] = pid;
	fclose(f);
	return n;
}

int sysunit_sweep(int patience)
{
	CLEANUP(freep) char *group = group_of(0);
	pid_t pids[LEFT_MAX];
	int told = 0, n;

	if (!group)
		return 0;
	for (int waited = 0; (n = left(group, pids, LEFT_MAX)) > 0;
	     waited += LOOK_MS) {
		int signo = waited >= patience ? SIGKILL : SIGTERM;

		if (waited >= patience * 2 + LOOK_MS)
			break;		/* not ours to kill */
		if (!told)
			told = n;
		for (int i = 0; i < n && (waited == 0 || signo == SIGKILL);
		     i++)
			kill(pids[i], signo);
		poll(NULL, 0, LOOK_MS);
	}
	return told;
}
#else
int sysunit_of(pid_t pid, struct sysunit *out)
{
	(void)pid;
	*out = (struct sysunit){ 0 };
	return -ENOENT;
}

void sysunit_free(struct sysunit *u)
{
	(void)u;
}

int sysunit_is_main(const struct sysunit *u, pid_t pid)
{
	(void)u;
	(void)pid;
	return 0;
}

int sysunit_job(const struct sysunit *u)
{
	(void)u;
	return SYSUNIT_NO_JOB;
}

int sysunit_stop(const struct sysunit *u, char **why)
{
	(void)u;
	*why = NULL;
	return -ENOENT;
}

int sysunit_wait_stopped(const struct sysunit *u)
{
	(void)u;
	return 0;
}

int sysunit_sweep(int patience)
{
	(void)patience;
	return 0;
}
#endif
