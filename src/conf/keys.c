/*
 * keys - the table of keys. A new key is a new line here, a field in
 * conf/conf.h and an entry in usher.ini(5).
 *
 * A default that hangs on other keys has no preset: conf/derive.c knows it.
 */
#include "conf/keys.h"

#include <string.h>

#include "base/mem.h"

#define WORKER (ACT_C | ACT_T | ACT_P | ACT_SH | ACT_X)
#define CONNECTION (ACT_C | ACT_P | ACT_Y | ACT_X | ACT_B)
#define ADMIT (CONNECTION | ACT_T)
#define LASTING (ACT_P | ACT_SH | ACT_X)
#define ROLLING (ACT_P | ACT_SH)
#define COUNTED (ACT_C | ACT_R | ACT_Y | ACT_X | ACT_B)
#define TRIGGER (ACT_T | ACT_P | ACT_SH)
#define REQUEST (ACT_T | ACT_P)
#define MANY .many = true
#define BETWEEN(low, high) .min = (low), .max = (high)
#define WORDS(list) .words = (list)
#define LOTS 1000000000
#define ANY_SIZE INT64_MAX

#define KEY(k, ty, field, dflt, where, diff, text, ...)            \
	{                                                          \
		.name = k, .type = ty, .preset = dflt,             \
		.offset = offsetof(struct conf_service, field),    \
		.acts = where, .change = diff, .help = text,       \
		##__VA_ARGS__                                      \
	}
#define OWN(k, ty, field, dflt, diff, text, ...)                   \
	{                                                          \
		.name = k, .type = ty, .preset = dflt,             \
		.offset = offsetof(struct conf, field),            \
		.change = diff, .help = text, ##__VA_ARGS__        \
	}

static const struct key_word handoffs[] = {
	{ "spawn", HANDOFF_SPAWN }, { "pass", HANDOFF_PASS },
	{ "share", HANDOFF_SHARE }, { 0 },
};
static const struct key_word protocols[] = {
	{ "inetd", PROTOCOL_INETD }, { "systemd", PROTOCOL_SYSTEMD },
	{ "wait", PROTOCOL_WAIT }, { "fastcgi", PROTOCOL_FASTCGI },
	{ "postfix", PROTOCOL_POSTFIX },
	{ "server-starter", PROTOCOL_SERVER_STARTER },
	{ "einhorn", PROTOCOL_EINHORN }, { 0 },
};
static const struct key_word balances[] = {
	{ "first", BALANCE_FIRST }, { "roundrobin", BALANCE_ROUNDROBIN },
	{ "leastconn", BALANCE_LEASTCONN }, { "source", BALANCE_SOURCE },
	{ 0 },
};
static const struct key_word picks[] = {
	{ "queue", PICK_QUEUE }, { "leastconn", PICK_LEASTCONN },
	{ "roundrobin", PICK_ROUNDROBIN }, { "source", PICK_SOURCE }, { 0 },
};
static const struct key_word waits[] = {
	{ "wait", ON_WAIT }, { "refuse", ON_REFUSE }, { "reset", ON_RESET },
	{ 0 },
};
static const struct key_word refusals[] = {
	{ "refuse", ON_REFUSE }, { "reset", ON_RESET }, { 0 },
};
static const struct key_word proxies[] = {
	{ "off", PROXY_OFF }, { "v1", PROXY_V1 }, { "v2", PROXY_V2 }, { 0 },
};
static const struct key_word survivals[] = {
	{ "upgrade", SURVIVE_UPGRADE }, { "crash", SURVIVE_CRASH }, { 0 },
};
static const struct key_word failures[] = {
	{ "stop", FAILURE_STOP }, { "revert", FAILURE_REVERT }, { 0 },
};
static const struct key_word outputs[] = {
	{ "log", OUTPUT_LOG }, { "null", OUTPUT_NULL },
	{ "inherit", OUTPUT_INHERIT }, { "connection", OUTPUT_CONNECTION },
	{ 0 },
};
static const struct key_word keepers[] = {
	{ "yes", KEEPER_YES }, { "respawn", KEEPER_RESPAWN },
	{ "no", KEEPER_NO }, { 0 },
};
static const struct key_word targets[] = {
	{ "auto", LOG_AUTO }, { "journal", LOG_JOURNAL },
	{ "stderr", LOG_STDERR }, { "syslog", LOG_SYSLOG }, { 0 },
};
static const struct key_word log_levels[] = {
	{ "error", LOG_LEVEL_ERROR }, { "warning", LOG_LEVEL_WARNING },
	{ "notice", LOG_LEVEL_NOTICE }, { "info", LOG_LEVEL_INFO },
	{ "debug", LOG_LEVEL_DEBUG }, { 0 },
};

const struct key usher_keys[] = {
	OWN("control", T_CONTROL, control, NULL, CONF_LIVE,
	    "the control socket, unix:PATH mode=MODE"),
	OWN("control_allow", T_LEVELS, control_allow, NULL, CONF_LIVE,
	    "who may do what on the control socket", MANY),
	OWN("spool", T_PATH, spool, NULL, CONF_LIVE, "the directory of FIFOs"),
	/* What the files say tells itself. */
	OWN("include", T_GLOBS, include, NULL, CONF_SAME,
	    "further files, as a pattern of paths", MANY),
	OWN("log", T_WORD, log, "auto", CONF_NEXT, "where the log goes",
	    WORDS(targets)),
	OWN("log_level", T_WORD, log_level, "info", CONF_LIVE,
	    "what is logged at the least", WORDS(log_levels)),
	OWN("max_descriptors", T_NUMBER, max_descriptors, NULL, CONF_NEXT,
	    "how many descriptors usher may have open",
	    BETWEEN(64, 524288)),
	OWN("resolve_every", T_DURATION, resolve_every, "60s", CONF_LIVE,
	    "how often upstreams' names are looked up again"),
	OWN("upgrade_timeout", T_DURATION, upgrade_timeout, "10s", CONF_LIVE,
	    "how long an upgraded image may take to be ready",
	    BETWEEN(100, 3600000)),
	OWN("keeper", T_WORD, keeper, "yes", CONF_NEXT,
	    "who keeps the descriptors when usher dies", WORDS(keepers)),
	OWN("pid_file", T_PATH, pid_file, NULL, CONF_NEXT,
	    "a file with usher's pid, locked"),
	OWN("shutdown_timeout", T_DURATION, shutdown_timeout, "30s",
	    CONF_LIVE, "drain time at shutdown"),
};
const size_t n_usher_keys = ARRAY_SIZE(usher_keys);

const struct key service_keys[] = {
	/* what */
	KEY("listen", T_ADDRS, listen, NULL,
	    ACT_C | ACT_P | ACT_SH | ACT_Y | ACT_X | ACT_B, CONF_DOORS,
	    "where clients connect: tcp:HOST:PORT or unix:PATH", MANY),
	KEY("trigger", T_ADDRS, trigger, NULL, TRIGGER, CONF_DOORS,
	    "where triggers arrive: fifo:NAME, unix:PATH or tcp:HOST:PORT",
	    MANY),
	KEY("every", T_DURATION, every, "0", TRIGGER, CONF_DOORS,
	    "a trigger each so long"),
	KEY("exec", T_EXEC, exec, NULL, WORKER, CONF_WORKERS,
	    "the program and its arguments"),
	KEY("handoff", T_WORD, handoff, NULL, WORKER & ~ACT_X, CONF_WORKERS,
	    "how arrivals reach the program", WORDS(handoffs)),
	KEY("protocol", T_WORD, protocol, NULL, ACT_C | ACT_T | ACT_SH,
	    CONF_WORKERS, "what the program speaks", WORDS(protocols)),
	KEY("relay", T_ADDRS, relay, NULL, ACT_Y | ACT_X, CONF_LIVE,
	    "upstream: tcp:HOST:PORT or unix:PATH", MANY),
	KEY("builtin", T_BUILTIN, builtin, NULL, ACT_B, CONF_LIVE,
	    "echo, discard or agent SERVICE"),
	KEY("enabled", T_BOOL, enabled, "yes", ACT_ALL, CONF_DOORS,
	    "no: checked, not opened"),

	/* relay */
	KEY("balance", T_WORD, balance, "first", ACT_Y, CONF_LIVE,
	    "which upstream is next", WORDS(balances)),
	KEY("max_fails", T_NUMBER, max_fails, "3", ACT_Y, CONF_LIVE,
	    "an upstream that failed so often rests", BETWEEN(1, LOTS)),
	KEY("fail_timeout", T_DURATION, fail_timeout, "10s", ACT_Y, CONF_LIVE,
	    "how long a failed upstream rests"),
	KEY("relay_workers", T_NUMBER, relay_workers, "0", ACT_Y, CONF_LIVE,
	    "relay in so many processes; 0: in the daemon",
	    BETWEEN(0, 256)),
	KEY("send_proxy", T_WORD, send_proxy, "off", ACT_Y | ACT_X, CONF_LIVE,
	    "the PROXY header that the upstream gets", WORDS(proxies)),
	KEY("connect_timeout", T_DURATION, connect_timeout, "5s",
	    ACT_Y | ACT_X, CONF_LIVE, "how long connecting may take"),
	KEY("relay_idle_timeout", T_DURATION, relay_idle_timeout, "0",
	    ACT_Y | ACT_X, CONF_LIVE,
	    "ends a connection without bytes for so long"),
	KEY("survive", T_WORD, survive, "upgrade", ACT_Y | ACT_X | ACT_B,
	    CONF_LIVE, "what relayed bytes outlive", WORDS(survivals)),

	/* workers */
	KEY("workers", T_RANGE, workers, NULL, ACT_T | ACT_P | ACT_SH | ACT_X,
	    CONF_LIVE, "N or MIN-MAX workers"),
	KEY("reports", T_BOOL, reports, NULL, ACT_P, CONF_WORKERS,
	    "the worker says taken and done"),
	KEY("pick", T_WORD, pick, "queue", ACT_P, CONF_WORKERS,
	    "which worker is next", WORDS(picks)),
	KEY("worker_connections", T_NUMBER, worker_connections, "1", ACT_R,
	    CONF_LIVE, "how many connections a worker holds",
	    BETWEEN(1, LOTS)),
	KEY("batch", T_NUMBER, batch, "1", ACT_P, CONF_LIVE,
	    "so many descriptors in a message", BETWEEN(1, 250)),
	KEY("queue_limit", T_NUMBER, queue_limit, NULL, ACT_P, CONF_LIVE,
	    "hand-offs that wait for a worker", BETWEEN(1, LOTS)),
	KEY("ready", T_READY, ready, NULL, LASTING, CONF_WORKERS,
	    "when a worker is ready"),
	KEY("settle", T_DURATION, settle, "3s", ROLLING, CONF_LIVE,
	    "how long new workers must live before the old go"),
	KEY("start_timeout", T_DURATION, start_timeout, "30s", LASTING,
	    CONF_LIVE, "how long a worker may take to be ready"),
	KEY("stop_timeout", T_DURATION, stop_timeout, "30s", WORKER,
	    CONF_LIVE, "how long after stop_signal SIGKILL follows"),
	KEY("stop_signal", T_SIGNAL, stop_signal, "SIGTERM", WORKER,
	    CONF_LIVE, "the signal that tells a worker to end"),
	KEY("drain_timeout", T_DURATION, drain_timeout, "1h", LASTING,
	    CONF_LIVE, "how long old workers may finish"),
	KEY("roll", T_NUMBER, roll, NULL, LASTING, CONF_LIVE,
	    "how many new workers start at a time; 0: the old stop first",
	    BETWEEN(0, LOTS)),
	KEY("max_generations", T_NUMBER, max_generations, "3", ROLLING,
	    CONF_LIVE, "how many old generations may still be finishing",
	    BETWEEN(1, 1000)),
	KEY("roll_on_failure", T_WORD, roll_on_failure, "stop", ROLLING,
	    CONF_LIVE, "what becomes of a failed roll", WORDS(failures)),
	KEY("max_requests", T_NUMBER, max_requests, "0", ACT_R | ACT_ST,
	    CONF_LIVE, "a worker is replaced after so many; 0: never",
	    BETWEEN(0, LOTS)),
	KEY("max_age", T_DURATION, max_age, "0", WORKER, CONF_LIVE,
	    "a worker is replaced after so long"),
	KEY("max_memory", T_SIZE, max_memory, "0", LASTING, CONF_LIVE,
	    "a worker with more memory is replaced"),
	KEY("idle_timeout", T_DURATION, idle_timeout, "100s", LASTING,
	    CONF_LIVE, "a worker above MIN that idles so long is stopped"),
	KEY("watchdog", T_DURATION, watchdog, "0", LASTING, CONF_WORKERS,
	    "a worker silent for so long is replaced"),
	KEY("respawn_delay", T_DURATION, respawn_delay, "100ms", LASTING,
	    CONF_LIVE, "the first delay after a failure"),
	KEY("respawn_max", T_DURATION, respawn_max, "60s", LASTING, CONF_LIVE,
	    "the longest delay after failures"),

	/* admission */
	KEY("max_connections", T_NUMBER, max_connections, NULL, COUNTED,
	    CONF_LIVE, "connections at the same time; 0: any number",
	    BETWEEN(0, LOTS)),
	KEY("on_full", T_WORD, on_full, "wait", CONNECTION, CONF_LIVE,
	    "what happens at max_connections or queue_limit", WORDS(waits)),
	KEY("refuse_message", T_MESSAGE, refuse_message, NULL, CONNECTION,
	    CONF_LIVE, "what a refused client is told"),
	KEY("max_per_source", T_NUMBER, max_per_source, "0", COUNTED,
	    CONF_LIVE, "connections of one source; 0: any number",
	    BETWEEN(0, LOTS)),
	KEY("rate_per_source", T_RATE, rate_per_source, NULL, ADMIT,
	    CONF_LIVE, "arrivals of one source: N/s or N/min, burst=N"),
	KEY("on_source_limit", T_WORD, on_source_limit, "refuse", ADMIT,
	    CONF_LIVE, "what happens at a source's limit", WORDS(refusals)),
	KEY("source_prefix4", T_NUMBER, source_prefix4, "32", ADMIT,
	    CONF_LIVE, "how many bits of IPv4 are one source",
	    BETWEEN(0, 32)),
	KEY("source_prefix6", T_NUMBER, source_prefix6, "64", ADMIT,
	    CONF_LIVE, "how many bits of IPv6 are one source",
	    BETWEEN(0, 128)),
	KEY("rate", T_RATE, rate, NULL, ADMIT, CONF_LIVE,
	    "arrivals of all: N/s or N/min, burst=N"),
	KEY("on_rate", T_WORD, on_rate, "wait", CONNECTION, CONF_LIVE,
	    "what happens past rate", WORDS(waits)),
	KEY("log_connections", T_BOOL, log_connections, "no", CONNECTION,
	    CONF_LIVE, "a line for each connection"),
	KEY("allow", T_RULES, rules, NULL, ADMIT, CONF_LIVE,
	    "who may come: CIDR, user:NAME or group:NAME", MANY),
	KEY("deny", T_RULES, rules, NULL, ADMIT, CONF_LIVE,
	    "who may not: CIDR, user:NAME or group:NAME", MANY),
	KEY("accept_proxy", T_CIDRS, accept_proxy, NULL, CONNECTION,
	    CONF_LIVE, "from where a PROXY header must come: CIDR or unix",
	    MANY),
	KEY("proxy_timeout", T_DURATION, proxy_timeout, "3s", CONNECTION,
	    CONF_LIVE, "how long a PROXY header may take"),

	/* identity and surroundings */
	KEY("user", T_STRING, user, NULL, WORKER, CONF_WORKERS,
	    "who the program runs as"),
	KEY("group", T_STRING, group, NULL, WORKER, CONF_WORKERS,
	    "the program's group"),
	KEY("directory", T_PATH, directory, NULL, WORKER, CONF_WORKERS,
	    "where the program starts"),
	KEY("root", T_PATH, root, NULL, WORKER, CONF_WORKERS,
	    "the program's root directory"),
	KEY("umask", T_UMASK, umask, NULL, WORKER, CONF_WORKERS,
	    "the program's umask, in octal"),
	KEY("nice", T_NUMBER, nice, "0", WORKER, CONF_WORKERS,
	    "added to the program's niceness", BETWEEN(-20, 19)),
	KEY("oom_score_adjust", T_NUMBER, oom_score_adjust, NULL, WORKER,
	    CONF_WORKERS, "who is killed first when memory ends",
	    BETWEEN(-1000, 1000)),
	KEY("limit_nofile", T_LIMIT, limits[CONF_NOFILE], NULL, WORKER,
	    CONF_WORKERS, "descriptors, SOFT:HARD"),
	KEY("limit_core", T_LIMIT_SIZE, limits[CONF_CORE], NULL, WORKER,
	    CONF_WORKERS, "size of a core file, SOFT:HARD"),
	KEY("limit_as", T_LIMIT_SIZE, limits[CONF_AS], NULL, WORKER,
	    CONF_WORKERS, "address space, SOFT:HARD"),
	KEY("limit_cpu", T_LIMIT, limits[CONF_CPU], NULL, WORKER,
	    CONF_WORKERS, "seconds of CPU, SOFT:HARD"),
	KEY("limit_nproc", T_LIMIT, limits[CONF_NPROC], NULL, WORKER,
	    CONF_WORKERS, "processes of its user, SOFT:HARD"),
	KEY("no_new_privileges", T_BOOL, no_new_privileges, "no", WORKER,
	    CONF_WORKERS, "the program can gain no privileges"),
	KEY("environment", T_ASSIGN, environment, NULL, WORKER, CONF_WORKERS,
	    "NAME=VALUE words for the program", MANY),
	KEY("environment_file", T_PATHS, environment_file, NULL, WORKER,
	    CONF_WORKERS,
	    "a file of NAME=VALUE lines; -/PATH: it may be missing", MANY),
	KEY("pass_environment", T_NAMES, pass_environment, NULL, WORKER,
	    CONF_WORKERS,
	    "what of usher's own is passed on beside PATH, LANG and TZ", MANY),
	KEY("output", T_WORD, output, "log", WORKER, CONF_WORKERS,
	    "where the program's words go", WORDS(outputs)),

	/* triggers */
	KEY("trigger_max", T_BYTES, trigger_max, "2048", REQUEST, CONF_LIVE,
	    "the longest request", BETWEEN(1, 16000)),
	KEY("trigger_timeout", T_DURATION, trigger_timeout, "10s", REQUEST,
	    CONF_LIVE, "how long a request may take"),
	KEY("trigger_ack", T_BOOL, trigger_ack, "no", REQUEST, CONF_LIVE,
	    "answer ACK to a request"),
	KEY("trigger_frame", T_FRAME, trigger_frame, "text", REQUEST,
	    CONF_LIVE, "text, or size:N for N bytes"),
	KEY("trigger_queue", T_NUMBER, trigger_queue, "1000", REQUEST,
	    CONF_LIVE, "distinct messages that wait", BETWEEN(1, 1000000)),
	KEY("trigger_retry", T_NUMBER, trigger_retry, "0", ACT_T | ACT_R,
	    CONF_LIVE, "how often a failed run is tried again",
	    BETWEEN(0, LOTS)),
	KEY("coalesce", T_DURATION, coalesce, "0", REQUEST, CONF_LIVE,
	    "the same triggers within so long are one"),
	KEY("trigger_allow", T_GRANTS, trigger_allow, NULL, TRIGGER,
	    CONF_LIVE, "user:NAME or group:NAME that may trigger", MANY),
	KEY("inject_allow", T_GRANTS, inject_allow, NULL, CONNECTION,
	    CONF_LIVE, "user:NAME or group:NAME that may inject", MANY),
};
const size_t n_service_keys = ARRAY_SIZE(service_keys);

static const struct key *find(const struct key *keys, size_t n,
			      const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (keys[i].name[0] == name[0] &&
		    strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

const struct key *key_of_service(const char *name)
{
	return find(service_keys, n_service_keys, name);
}

const struct key *key_of_usher(const char *name)
{
	return find(usher_keys, n_usher_keys, name);
}

bool key_is_usher(const struct key *k)
{
	return k->acts == 0;
}

size_t key_index(const struct key *k)
{
	return (size_t)(k - (key_is_usher(k) ? usher_keys : service_keys));
}

const char *key_word(const struct key_word *words, int value)
{
	for (; words->word; words++)
		if (words->value == value)
			return words->word;
	return NULL;
}

static const struct key_word acts_words[] = {
	{ "spawn with listen", ACT_C },
	{ "spawn with trigger or every", ACT_T },
	{ "pass", ACT_P },
	{ "pass with reports = yes", ACT_R },
	{ "share", ACT_SH },
	{ "share with protocol = postfix or einhorn", ACT_ST },
	{ "relay", ACT_Y },
	{ "exec with relay", ACT_X },
	{ "builtin", ACT_B },
	{ 0 },
};

char *key_acts_text(unsigned acts)
{
	char *s = NULL;

	for (const struct key_word *w = acts_words; w->word; w++) {
		CLEANUP(freep) char *before = s;

		if (acts & (unsigned)w->value)
			s = xasprintf("%s%s%s", before ? before : "",
				      before ? ", " : "", w->word);
		else
			before = NULL;
	}
	return s ? s : xstrdup("no service");
}
