/*
 * launch - a program is started for a service; see launch.h.
 *
 * The environment begins empty: nothing that usher was started with reaches a
 * worker unless pass_environment names it, so NOTIFY_SOCKET, LISTEN_* and
 * WATCHDOG_* of our own never do.
 */
#include "work/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"

#define DEFAULT_PATH \
	"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define PID_ROOM "          "	/* ten digits and their end */

/* NAME=VALUE replaces an earlier NAME. */
static void put(struct launch *l, char *word)
{
	size_t name = strcspn(word, "=");

	for (size_t i = 0; i < l->env.n; i++)
		if (strncmp(l->env.v[i], word, name + 1) == 0) {
			free(l->env.v[i]);
			l->env.v[i] = word;
			return;
		}
	strv_push(&l->env, word);
}

void launch_env(struct launch *l, const char *fmt, ...)
{
	char *word;
	va_list ap;

	va_start(ap, fmt);
	word = xvasprintf(fmt, ap);
	va_end(ap);
	put(l, word);
}

void launch_word(struct launch *l, const char *word)
{
	put(l, xstrdup(word));
}

void launch_pid_env(struct launch *l, const char *name)
{
	launch_env(l, "%s=" PID_ROOM, name);
	for (size_t i = 0; i < l->env.n; i++)
		if (strncmp(l->env.v[i], name, strlen(name)) == 0 &&
		    l->env.v[i][strlen(name)] == '=')
			l->pid_env = (int)i;
}

void launch_fd(struct launch *l, int from, int to)
{
	if (l->nfds < CHILD_FDS)
		l->fds[l->nfds++] = (struct child_fd){ from, to };
}

static void pass_one(struct launch *l, const char *name)
{
	const char *value = getenv(name);

	if (value)
		launch_env(l, "%s=%s", name, value);
}

/* No file of variables is larger. */
#define ENV_FILE_MOST (1 << 20)

/* The file may be its user's, who could put anything in its place: what is no
 * file might never end, or begin. */
static FILE *open_env_file(const char *path)
{
	CLEANUP(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC |
						   O_NOCTTY | O_NONBLOCK);
	struct stat sb;

	if (fd < 0 || fstat(fd, &sb) < 0)
		return NULL;
	if (S_ISREG(sb.st_mode) ? sb.st_size <= ENV_FILE_MOST
				: strcmp(path, "/dev/null") == 0)
		return fdopen(fd_take(&fd), "r");
	errno = S_ISREG(sb.st_mode) ? EFBIG : EINVAL;
	return NULL;
}

/* Lines NAME=VALUE; empty ones and those that begin with # are passed over,
 * quotes around a value go (systemd.exec(5), EnvironmentFile=). A name that
 * begins with - may be missing. */
static int read_env_file(struct launch *l, const char *path, char **why)
{
	bool optional = *path == '-';
	CLEANUP(freep) char *line = NULL;
	size_t room = 0;
	ssize_t n;
	FILE *f = open_env_file(path + optional);

	if (!f) {
		if (optional)
			return 0;
		*why = xasprintf("environment_file %s: %s", path,
				 strerror(errno));
		return -errno;
	}
	while ((n = getline(&line, &room, f)) >= 0) {
		char *p = line + strspn(line, " \t"), *eq = strchr(p, '=');

		p[strcspn(p, "\r\n")] = 0;
		if (!eq || eq == p || *p == '#' || *p == ';')
			continue;
		n = (ssize_t)strlen(eq + 1);
		if (n >= 2 && (eq[1] == '"' || eq[1] == '\'') &&
		    eq[n] == eq[1]) {
			eq[n] = 0;
			memmove(eq + 1, eq + 2, (size_t)n - 1);
		}
		put(l, xstrdup(p));
	}
	fclose(f);
	return 0;
}

/* A process of a relay is told its settings, as INI. */
static void relay_settings(struct launch *l)
{
	CLEANUP(freep) char *text = NULL;
	size_t len = 0;
	FILE *f = xmemstream(&text, &len);

	conf_print(l->service->owner, l->conf, false, f);
	xmemstream_end(f);
	launch_env(l, "USHER_RELAY=%s", text);
}

int launch_begin(struct launch *l, struct service *s,
		 const struct conf_service *conf, uint32_t generation,
		 char **why)
{
	const struct child_user *u = &conf->who;
	int r = 0;

	memset(l, 0, offsetof(struct launch, fds));
	l->nfds = 0;
	l->pid_env = -1;
	l->service = s;
	l->conf = conf;
	strv_extend(&l->argv, &conf->argv);
	launch_env(l, "PATH=%s", getenv("PATH") ?: DEFAULT_PATH);
	pass_one(l, "LANG");
	pass_one(l, "TZ");
	if (conf->user && u->name) {
		launch_env(l, "HOME=%s", u->home);
		launch_env(l, "USER=%s", u->name);
		launch_env(l, "LOGNAME=%s", u->name);
		launch_env(l, "SHELL=%s", u->shell);
	}
	for (size_t i = 0; i < conf->pass_environment.n; i++)
		pass_one(l, conf->pass_environment.v[i]);
	for (size_t i = 0; i < conf->environment_file.n && r == 0; i++)
		r = read_env_file(l, conf->environment_file.v[i], why);
	for (size_t i = 0; i < conf->environment.n; i++)
		put(l, xstrdup(conf->environment.v[i]));
	launch_env(l, "USHER_SERVICE=%s", s->name);
	launch_env(l, "USHER_GENERATION=%u", generation);
	if (conf->handler == HANDLER_RELAY)
		relay_settings(l);
	return r;
}

void launch_end(struct launch *l)
{
	strv_free(&l->env);
	strv_free(&l->argv);
}

/* ---- words about a connection ---- */

struct words {
	void (*fn)(void *arg, const char *w);
	void *arg;
};

/* Written by hand, since it is done for every connection. */
static void word(const struct words *w, const char *name, const char *value)
{
	char text[192];
	size_t n = strlen(name), len = strlen(value);

	if (len > sizeof(text) - n - 1)
		len = sizeof(text) - n - 1;
	memcpy(text, name, n);
	memcpy(text + n, value, len);
	text[n + len] = 0;
	w->fn(w->arg, text);
}

static void number_word(const struct words *w, const char *name,
			uint64_t value)
{
	char digits[24];
	char *p = digits + sizeof(digits) - 1;

	*p = 0;
	do
		*--p = (char)('0' + value % 10);
	while ((value /= 10));
	word(w, name, p);
}

static void tcp_words(const struct conn *c, const struct words *w)
{
	char remote[ADDR_TEXT], local[ADDR_TEXT];

	addr_print_host(&c->peer, remote, sizeof(remote));
	addr_print_host(&c->local, local, sizeof(local));
	word(w, "PROTO=", "TCP");
	word(w, "TCPREMOTEIP=", remote);
	number_word(w, "TCPREMOTEPORT=", addr_port(&c->peer));
	word(w, "TCPLOCALIP=", local);
	number_word(w, "TCPLOCALPORT=", addr_port(&c->local));
	word(w, "REMOTE_ADDR=", remote);
	number_word(w, "REMOTE_PORT=", addr_port(&c->peer));
}

static void unix_words(const struct conn *c, const struct words *w)
{
	char local[ADDR_TEXT];

	word(w, "PROTO=", "UNIX");
	if (c->has_cred) {
		number_word(w, "UNIXREMOTEPID=", (uint32_t)c->cred.pid);
		number_word(w, "UNIXREMOTEEUID=", c->cred.uid);
		number_word(w, "UNIXREMOTEEGID=", c->cred.gid);
	}
	if (c->local.len && c->local.u.sa.sa_family == AF_UNIX)
		word(w, "UNIXLOCALPATH=",
		     addr_print_host(&c->local, local, sizeof(local)));
}

void launch_words(const struct conn *c, void (*fn)(void *arg, const char *w),
		  void *arg)
{
	const struct words w = { fn, arg };

	if (c->is_unix)
		unix_words(c, &w);
	else
		tcp_words(c, &w);
	number_word(&w, "SO_COOKIE=", c->cookie);
}

/* ---- the start ---- */

/* What would cure a failed step; NULL: nothing to say. */
static const char *cure(const struct launch *l, const struct child_error *e)
{
	static const struct {
		const char *step;
		int error;
		const char *text;
	} cures[] = {
		{ "exec", ENOEXEC, "its first line must be #!/path/of/shell" },
		{ "exec", EACCES, "make it executable for the user, and the "
				  "directories above it" },
		{ "exec", ENOENT, "no such file (or its interpreter's)" },
		{ "chdir", ENOENT, "see directory =" },
		{ "chroot", ENOENT, "see root =" },
		{ "setuid", EPERM, "usher may not change users here" },
		{ "setgroups", EPERM, "usher may not change users here" },
		{ "fork", EAGAIN, "out of processes: TasksMax or limit_nproc" },
		{ "fork", EMFILE, "raise LimitNOFILE or max_descriptors" },
		{ "setrlimit", EPERM, "above the hard limit: see limit_*" },
	};

	(void)l;
	for (size_t i = 0; i < ARRAY_SIZE(cures); i++)
		if (strcmp(cures[i].step, e->step) == 0 &&
		    cures[i].error == e->error)
			return cures[i].text;
	return NULL;
}

static int collect_limits(const struct conf_service *c,
			  struct child_limit *out)
{
	static const int resources[CONF_LIMITS] = {
		[CONF_NOFILE] = RLIMIT_NOFILE, [CONF_CORE] = RLIMIT_CORE,
		[CONF_AS] = RLIMIT_AS,	       [CONF_CPU] = RLIMIT_CPU,
		[CONF_NPROC] = RLIMIT_NPROC,
	};
	int n = 0;

	for (int i = 0; i < CONF_LIMITS; i++)
		if (c->limits[i].set)
			out[n++] = (struct child_limit){
				resources[i], c->limits[i].value };
	return n;
}

pid_t launch_go(struct launch *l, int record, char **why)
{
	const struct conf_service *c = l->conf;
	struct child_identity id = c->who.identity;
	struct child_limit limits[CONF_LIMITS];
	struct child_error e;
	struct child_spec spec = {
		.program = c->program,
		.argv = l->argv.v,
		.envp = l->env.v,
		.pid_env = l->pid_env,
		.fds = l->fds,
		.nfds = l->nfds,
		.identity = &id,
		.root = c->root,
		.directory = c->directory,
		.umask = (int)c->umask,
		.nice = (int)c->nice,
		.oom_score_adjust = (int)c->oom_score_adjust,
		.limits = limits,
		.nlimits = collect_limits(c, limits),
		.session = true,
	};
	const char *text;
	pid_t pid;

	if (c->broken) {	/* its user has gone: never as ours */
		*why = xstrdup(c->broken);
		return -ENOENT;
	}
	id.no_new_privs = c->no_new_privileges;
	pid = child_start(&spec, &record_at(record)->fd[0],
			  &record_at(record)->id, &e);
	l->service->data->starts++;
	if (pid >= 0)
		return pid;
	text = cure(l, &e);
	*why = xasprintf("%s: %s: %s%s%s", c->program, e.step,
			 strerror(e.error), text ? "; " : "", text ?: "");
	return pid;
}
