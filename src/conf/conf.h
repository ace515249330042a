/*
 * conf - what the file says: the values of every key, with file and line.
 *
 * One loader for check, serve and reload. A file with any mistake is refused
 * whole, every mistake told in one go. The table of keys (conf/keys.c) is
 * what the parser, the defaults, the error texts, `usher check --effective`
 * and the man page follow.
 *
 * Values are constants once loaded. A struct conf is shared by reference
 * (conf_ref): a service keeps the one it was opened under until it is done.
 */
#ifndef USHER_CONF_CONF_H
#define USHER_CONF_CONF_H

#include <stdio.h>
#include <sys/queue.h>

#include "base/addr.h"
#include "base/child.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"

struct names;

enum conf_handoff { HANDOFF_SPAWN, HANDOFF_PASS, HANDOFF_SHARE };

enum conf_protocol {
	PROTOCOL_INETD,
	PROTOCOL_SYSTEMD,
	PROTOCOL_WAIT,
	PROTOCOL_FASTCGI,
	PROTOCOL_POSTFIX,
	PROTOCOL_SERVER_STARTER,
	PROTOCOL_EINHORN,
};

/* Who deals with arrivals; BACKEND is exec with relay. */
enum conf_handler {
	HANDLER_EXEC,
	HANDLER_RELAY,
	HANDLER_BACKEND,
	HANDLER_BUILTIN,
};

enum conf_builtin { BUILTIN_ECHO, BUILTIN_DISCARD, BUILTIN_AGENT };
enum conf_balance {
	BALANCE_FIRST, BALANCE_ROUNDROBIN, BALANCE_LEASTCONN, BALANCE_SOURCE,
};
enum conf_pick { PICK_QUEUE, PICK_LEASTCONN, PICK_ROUNDROBIN, PICK_SOURCE };
enum conf_on { ON_WAIT, ON_REFUSE, ON_RESET };
enum conf_proxy { PROXY_OFF, PROXY_V1, PROXY_V2 };
enum conf_ready {
	READY_EXEC, READY_NOTIFY, READY_FD, READY_STATUS, READY_PROBE,
	READY_AFTER,
};
enum conf_output {
	OUTPUT_LOG, OUTPUT_NULL, OUTPUT_INHERIT, OUTPUT_CONNECTION,
};
enum conf_keeper { KEEPER_NO, KEEPER_YES, KEEPER_RESPAWN };
enum conf_revert { FAILURE_STOP, FAILURE_REVERT };
enum conf_survive { SURVIVE_UPGRADE, SURVIVE_CRASH };

/* Where a value stands. file NULL: a default. */
struct conf_where {
	const char *file;	/* owned by the conf's list of files */
	unsigned line;
};

/* A list of addresses (listen, trigger, relay). */
struct conf_addr {
	struct addr addr;
	struct conf_where where;
};
struct conf_addrs {
	struct conf_addr *v;
	size_t n;
};

/* allow and deny, in file order. */
struct conf_rule {
	bool allow;
	enum { RULE_CIDR, RULE_USER, RULE_GROUP } kind;
	struct addr_cidr cidr;
	uint32_t id;		/* uid or gid */
	char *text;		/* as written: "allow 192.0.2.0/24" */
	struct conf_where where;
};
struct conf_rules {
	struct conf_rule *v;
	size_t n;
};

/* A principal with a level: control_allow, trigger_allow, inject_allow. */
enum conf_level { LEVEL_NONE, LEVEL_READ, LEVEL_OPERATE, LEVEL_ADMIN };
struct conf_grant {
	enum { GRANT_USER, GRANT_GROUP, GRANT_ANYONE } kind;
	uint32_t id;
	enum conf_level level;
	char *text;		/* the principal as written: "user:bob" */
};
struct conf_grants {
	struct conf_grant *v;
	size_t n;
};

/* CIDRs from which a PROXY header is required; UNIX: from Unix peers too. */
struct conf_cidrs {
	struct addr_cidr *v;
	size_t n;
	bool unix_peers;
};

struct conf_ready_value {
	enum conf_ready kind;
	int fd;			/* READY_FD */
	int64_t after;		/* READY_AFTER, ms */
	struct addr *probe;	/* READY_PROBE; NULL: the relay's address */
};

struct conf_limit {
	bool set;
	struct rlimit value;
};
enum { CONF_NOFILE, CONF_CORE, CONF_AS, CONF_CPU, CONF_NPROC, CONF_LIMITS };

/* A key that was set, by its number in the table, and where. */
struct conf_set {
	uint16_t key;
	struct conf_where where;
};

struct conf_service {
	TAILQ_ENTRY(conf_service) entry;
	char *name;
	char *title;			/* "service NAME" */
	struct conf_where where;

	/* what */
	struct conf_addrs listen, trigger, relay;
	int64_t every;			/* ms; 0 none */
	char *exec;			/* as written */
	struct strv argv;		/* argv[0] is what the program sees */
	char *program;			/* absolute path that is executed */
	/* Why no worker can be started although the file was good once (its
	 * user has gone since): a kept configuration only, else NULL. */
	char *broken;
	enum conf_handler handler;	/* derived */
	enum conf_handoff handoff;
	enum conf_protocol protocol;
	enum conf_builtin builtin;
	char *agent_of;			/* builtin = agent SERVICE */

	/* relay */
	enum conf_balance balance;
	int64_t max_fails, fail_timeout;
	int64_t relay_workers;
	enum conf_proxy send_proxy;
	int64_t connect_timeout, relay_idle_timeout;
	enum conf_survive survive;

	/* workers */
	struct text_range workers;
	bool reports;
	enum conf_pick pick;
	int64_t worker_connections, batch, queue_limit;
	struct conf_ready_value ready;
	int64_t settle, start_timeout, stop_timeout, drain_timeout;
	int stop_signal;
	int64_t roll, max_generations;
	enum conf_revert roll_on_failure;
	int64_t max_requests, max_age, idle_timeout, watchdog;
	uint64_t max_memory;
	int64_t respawn_delay, respawn_max;

	/* admission */
	int64_t max_connections;	/* 0 none */
	enum conf_on on_full, on_source_limit, on_rate;
	char *refuse_message;		/* escapes \n \r \t \\ undone */
	int64_t max_per_source;
	struct text_rate rate_per_source, rate;
	int64_t source_prefix4, source_prefix6;
	struct conf_rules rules;
	struct conf_cidrs accept_proxy;
	int64_t proxy_timeout;
	bool log_connections;

	/* identity and surroundings */
	char *user, *group;
	struct child_user who;
	char *directory, *root;
	int64_t umask;			/* -1: as usher's */
	int64_t nice, oom_score_adjust;	/* CHILD_OOM_ABOVE */
	struct conf_limit limits[CONF_LIMITS];
	bool no_new_privileges;
	/* pass_environment: beside PATH, LANG and TZ. */
	struct strv environment, environment_file, pass_environment;
	enum conf_output output;

	/* triggers */
	int64_t trigger_max, trigger_timeout;
	bool trigger_ack;
	int64_t trigger_frame;		/* 0: text; else bytes */
	int64_t trigger_queue, trigger_retry, coalesce;
	struct conf_grants trigger_allow, inject_allow;

	bool enabled;

	/* The keys that were set; all others hold their defaults. */
	struct conf_set *set;	/* nset of them */
	size_t nset;
	/* The directory for FIFOs by name: [usher] spool. */
	const char *spool;
};

/* One file's text, as it was read. */
struct conf_text {
	char *text;
	size_t len;
};

struct conf {
	unsigned refs;
	char *path;			/* the main file, as given */
	struct strv files;		/* all that were read */
	struct conf_text *texts;	/* of each of them */
	struct names *names;		/* conf_find's table */
	/* [usher] */
	struct addr control;
	bool control_default;
	struct conf_grants control_allow;
	char *spool;
	struct strv include;
	enum log_target log;
	enum log_level log_level;
	int64_t max_descriptors, resolve_every, upgrade_timeout;
	int64_t shutdown_timeout;
	enum conf_keeper keeper;
	char *pid_file;
	struct conf_where *set;
	TAILQ_HEAD(conf_services, conf_service) services;
	size_t nservices;
	/* What all of it lies in, if it was packed (conf/pack.h). */
	void *block;
	size_t block_len;
};

/* Every mistake and note, a line each: "FILE:LINE: [section] key: ...". */
#define CONF_ERRORS_MOST 100

struct conf_report {
	struct strv errors;	/* CONF_ERRORS_MOST, then "and N more" */
	size_t nerrors;		/* of all of them */
	struct strv notes;	/* warnings: defaults that can't act ... */
	char *control;		/* of a refused file: the control socket's
				 * path where that much is right, or NULL */
};
void conf_report_free(struct conf_report *r);

struct conf_source {
	const char *path;	/* name in messages; read when text is NULL */
	const char *text;	/* or this text */
	size_t len;
	bool resolve;		/* look names of hosts up (blocks) */
	const char *runtime;	/* the directory of control socket and spool;
				 * NULL: /run/usher and /var/spool/usher for
				 * root, else under XDG_RUNTIME_DIR or /tmp */
};

/* Loads, checks, resolves. 0 and *OUT (refs 1), or -EINVAL (mistakes in
 * REPORT), or -errno of reading the main file (REPORT says it too). */
int conf_load(const struct conf_source *src, struct conf **out,
	      struct conf_report *report);
struct conf *conf_ref(struct conf *c);
void conf_unref(struct conf **c);

struct conf_service *conf_find(struct conf *c, const char *name);
/* Where [usher] sets KEY, or NULL: its default holds. */
const struct conf_where *conf_usher_where(const struct conf *c,
					  const char *key);

/* The whole text of all files, as one that conf_load reads from text: what
 * the state keeps as the last good configuration. Allocated. When it is
 * loaded, what has gone from the world since (a program, a user, a name of a
 * host) is a note and not an error. */
char *conf_dump(const struct conf *c, size_t *len);

/* Prints every setting in force, defaults filled in, as INI. ONE: only this
 * service; WHERE: with a comment that says where it comes from. */
void conf_print(const struct conf *c, const struct conf_service *one,
		bool where, FILE *out);

/* One key's value in force as text, "" for none, a line each where it is a
 * list (allocated); NULL: no such key. */
char *conf_value(const struct conf_service *s, const char *key);

/* What differs between two services. */
enum conf_diff {
	CONF_SAME = 0,
	CONF_DOORS = 1,		/* listen, trigger, every */
	CONF_WORKERS = 2,	/* command, identity, limits, environment:
				 * workers must be started anew */
	CONF_LIVE = 4,		/* the rest: acts at once */
	CONF_NEXT = 8,		/* of [usher]: when usher begins next */
};
/* Bits of conf_diff; the names of changed keys go to CHANGED if not NULL. */
unsigned conf_compare(const struct conf_service *a,
		      const struct conf_service *b, struct strv *changed);
/* The keys of [usher] that differ and act as CHANGE says (CONF_LIVE or
 * CONF_NEXT), "log, keeper"; allocated, NULL: none. */
char *conf_compare_usher(const struct conf *a, const struct conf *b,
			 unsigned change);

#endif
