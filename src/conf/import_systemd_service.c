/*
 * import_systemd_service - the settings of [Service] as keys of ours.
 *
 * A table: theirs, ours, and how its value is written. What is not in it, and
 * what somebody else has not used (struct unit_entry), usher doesn't have;
 * that is said.
 */
#include <string.h>

#include "base/text.h"
#include "conf/import_systemd.h"

static void duration(struct pair *p, const char *key, const char *value,
		     struct import_at at)
{
	static const struct { const char *theirs, *ours; } units[] = {
		{ "", "s" }, { "s", "s" }, { "sec", "s" }, { "ms", "ms" },
		{ "min", "min" }, { "h", "h" }, { "d", "d" },
	};
	size_t digits = strspn(value, "0123456789");

	if (strcmp(value, "infinity") == 0) {
		import_set(p->im, key, "0");
		return;
	}
	for (size_t i = 0; digits && i < ARRAY_SIZE(units); i++)
		if (strcmp(units[i].theirs, value + digits) == 0) {
			import_set(p->im, key, "%.*s%s", (int)digits, value,
				   units[i].ours);
			return;
		}
	import_missed(p->im, at, "%s: the time %s", key, value);
}

static void s_plain(struct pair *p, const char *key, struct unit_entry *e)
{
	if (strchr(e->value, '%'))
		import_missed(p->im, e->at, "%s=%s: usher has no specifiers",
			      e->key, e->value);
	else if (*e->value)
		import_set(p->im, key, "%s", e->value);
}

static void s_time(struct pair *p, const char *key, struct unit_entry *e)
{
	duration(p, key, e->value, e->at);
}

/* What only a worker that stays has. */
static void s_worker_time(struct pair *p, const char *key,
			  struct unit_entry *e)
{
	if (!p->accept)
		duration(p, key, e->value, e->at);
}

static void s_directory(struct pair *p, const char *key, struct unit_entry *e)
{
	const char *dir = e->value;

	if (strcmp(dir, "~") == 0 || *dir == '-')
		import_missed(p->im, e->at, "%s=%s", e->key, dir);
	else
		s_plain(p, key, e);
}

static void s_bool(struct pair *p, const char *key, struct unit_entry *e)
{
	import_set(p->im, key, "%s", unit_bool(e->value) ? "yes" : "no");
}

static void s_output(struct pair *p, const char *key, struct unit_entry *e)
{
	const char *v = e->value;

	(void)key;
	if (strcmp(v, "null") == 0)
		import_set(p->im, "output", "null");
	else if (strcmp(v, "socket") == 0 && p->accept && p->inetd)
		import_set(p->im, "output", "connection");
	else if (strcmp(v, "journal") != 0 && strcmp(v, "inherit") != 0 &&
		 strcmp(v, "syslog") != 0 && strcmp(v, "socket") != 0)
		import_missed(p->im, e->at, "%s=%s: the log has it", e->key,
			      v);
}

static void s_words(struct pair *p, const char *key, struct unit_entry *e)
{
	struct strv w;

	if (text_split(e->value, &w) < 0) {
		import_missed(p->im, e->at, "%s: quotes", e->key);
		return;
	}
	if (w.n)
		import_words(p->im, key, &w);
	strv_free(&w);
}

static void s_type(struct pair *p, const char *key, struct unit_entry *e)
{
	(void)key;
	if (strcmp(e->value, "forking") == 0 || strcmp(e->value, "dbus") == 0)
		import_missed(p->im, e->at, "Type=%s: usher takes the process "
			      "that it starts for the worker", e->value);
}

static void s_names(struct pair *p, const char *key, struct unit_entry *e)
{
	CLEANUP(strv_free) struct strv w = { 0 };

	import_split(e->value, &w);
	if (w.n)
		import_words(p->im, key, &w);
}

/* Nothing to write: usher does so, or it means nothing here. */
static void s_fine(struct pair *p, const char *key, struct unit_entry *e)
{
	(void)p;
	(void)key;
	(void)e;
}

static const struct {
	const char *theirs, *ours;
	void (*fn)(struct pair *p, const char *key, struct unit_entry *e);
} service_keys[] = {
	{ "User", "user", s_plain },
	{ "Group", "group", s_plain },
	{ "WorkingDirectory", "directory", s_directory },
	{ "RootDirectory", "root", s_plain },
	{ "UMask", "umask", s_plain },
	{ "Nice", "nice", s_plain },
	{ "OOMScoreAdjust", "oom_score_adjust", s_plain },
	{ "LimitNOFILE", "limit_nofile", s_plain },
	{ "LimitCORE", "limit_core", s_plain },
	{ "LimitAS", "limit_as", s_plain },
	{ "LimitCPU", "limit_cpu", s_plain },
	{ "LimitNPROC", "limit_nproc", s_plain },
	{ "NoNewPrivileges", "no_new_privileges", s_bool },
	{ "Environment", "environment", s_words },
	{ "EnvironmentFile", "environment_file", s_plain },
	{ "PassEnvironment", "pass_environment", s_names },
	{ "KillSignal", "stop_signal", s_plain },
	{ "TimeoutStartSec", "start_timeout", s_worker_time },
	{ "TimeoutStopSec", "stop_timeout", s_time },
	{ "RuntimeMaxSec", "max_age", s_time },
	{ "WatchdogSec", "watchdog", s_worker_time },
	{ "StandardError", NULL, s_output },
	{ "Type", NULL, s_type },
	{ "StandardInput", NULL, s_fine },	/* see who_speaks */
	{ "StandardOutput", NULL, s_fine },
	{ "NotifyAccess", NULL, s_fine },
	{ "Restart", NULL, s_fine },		/* always, with back-off */
	{ "RestartSec", NULL, s_fine },
	{ "RestartPreventExitStatus", NULL, s_fine },
	{ "FileDescriptorStoreMax", NULL, s_fine },
	{ "KillMode", NULL, s_fine },
	{ "ExecReload", NULL, s_fine },		/* a roll does it */
	{ "SyslogIdentifier", NULL, s_fine },
};

void systemd_service_rest(struct pair *p)
{
	for (size_t i = 0; i < p->service.n; i++) {
		struct unit_entry *e = &p->service.v[i];
		size_t k = 0;

		if (e->used || strcmp(e->section, "Service") != 0)
			continue;
		while (k < ARRAY_SIZE(service_keys) &&
		       strcmp(service_keys[k].theirs, e->key) != 0)
			k++;
		if (k < ARRAY_SIZE(service_keys))
			service_keys[k].fn(p, service_keys[k].ours, e);
		else
			import_missed(p->im, e->at, "%s=%s: usher has no such "
				      "setting", e->key, e->value);
	}
}
