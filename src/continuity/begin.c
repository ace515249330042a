/*
 * begin - how this process begins; see begin.h.
 *
 * A state that crashes who loads it must not loop: after three take-overs
 * that did not come to serve, only the doors are taken and the rest is let
 * go. A state that can't be read is left, and usher begins anew.
 */
#include "continuity/begin.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <linux/close_range.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fd.h"
#include "base/record.h"
#include "continuity/keeper.h"
#include "continuity/made.h"
#include "continuity/takeover.h"
#include "inlet/listener.h"

#define TRIES 3
#define LEAVE_MS 1000
#define CONF_TEXT "configuration"
#define LEAVING_TEXT "leaving"
#define LEAVING_MOST 4

static int table_size(void)
{
	struct rlimit r;

	getrlimit(RLIMIT_NOFILE, &r);
	r.rlim_cur = r.rlim_max > 524288 ? 524288 : r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
	return (int)r.rlim_cur;
}

/* Everything but doors, the store and roles goes: something in there kills
 * whoever loads it. */
static void doors_only(void)
{
	for (int i = -1; (i = record_next(RECORD_NONE, i)) >= 0;)
		if (record_at(i)->kind != RECORD_DOOR)
			record_close(i);
}

/* An upgraded image that can't read the state: the old one can. */
static void back_to_old(void)
{
	for (int image = 0; image < 2; image++) {
		struct stat mine, there;

		if (fstat(ROLE_IMAGE0 + image, &there) == 0 &&
		    S_ISREG(there.st_mode) &&
		    stat("/proc/self/exe", &mine) == 0 &&
		    mine.st_ino != there.st_ino)
			keeper_execute(image);
	}
}

static bool map(char **why)
{
	const char *text = NULL;

	if (record_adopt(&text) < 0) {
		*why = xasprintf("the state that another usher left can't be "
				 "used: %s; beginning anew", text);
		if (record_step_back(ROLE_STATE))
			back_to_old();
		return false;
	}
	record_globals()->generation++;
	record_globals()->pid = (uint32_t)getpid();
	if (++record_globals()->takeovers > TRIES ||
	    record_globals()->self_crashes >= TRIES) {
		*why = xasprintf("%u take-overs in a row did not come to "
				 "serve, usher crashed %u times in a row: "
				 "only the doors are taken, the rest is "
				 "dropped", record_globals()->takeovers - 1,
				 record_globals()->self_crashes);
		record_globals()->self_crashes = 0;
		doors_only();
	}
	FAULT("state-mapped");
	return true;
}

/* A state that can't be used: its keeper would hold locks and doors for ever,
 * and so would we. */
static bool leave(void)
{
	for (int role = ROLE_KEEPER0; role <= ROLE_KEEPER1; role++) {
		struct pollfd p = { role, POLLIN, 0 };

		if (syscall(SYS_pidfd_send_signal, role, SIGKILL, NULL, 0) == 0)
			poll(&p, 1, LEAVE_MS);
	}
	close_range(ROLE_STATE, (unsigned)(table_size() - TAKEOVER_ASIDE) - 1,
		    0);
	return false;
}

/* What a socket unit gives is given to each usher that it starts: kept aside
 * for what a changed file wants of it. */
static int take_over(int sock)
{
	int max = table_size();

	listener_inherited_move(max - TAKEOVER_ASIDE, max - 1);
	return takeover_receive(sock, max);
}

static bool from_store(char **why)
{
	int channel = listener_inherited("usher-channel");
	int state = listener_inherited("usher-state");
	int r;

	fd_closep(&state);	/* it comes with the rest, at its number */
	if (channel < 0)
		return false;
	r = take_over(channel);
	if (r < 0) {
		*why = xasprintf("the keeper did not answer: %s; beginning "
				 "anew", strerror(-r));
		return leave();
	}
	return map(why) || leave();
}

bool begin_holder_dead(const char *control)
{
	CLEANUP(freep) char *path = xasprintf("%s.lock", control);
	char text[32] = "", comm[64], name[32] = "";
	CLEANUP(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	CLEANUP(fd_closep) int in = -1;
	pid_t pid;

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return true;
	pid = (pid_t)atoi(text);
	if (pid <= 0 || (kill(pid, 0) < 0 && errno == ESRCH))
		return true;
	/* The number may be somebody else's by now. */
	snprintf(comm, sizeof(comm), "/proc/%d/comm", (int)pid);
	in = open(comm, O_RDONLY | O_CLOEXEC);
	if (in < 0 || read(in, name, sizeof(name) - 1) <= 0)
		return false;
	return strncmp(name, "usher\n", 6) != 0;
}

static bool from_keeper(const char *control, char **why)
{
	int fd = takeover_find(control);
	int r;

	if (fd < 0)
		return false;
	r = take_over(fd);
	FAULT("received");
	if (r < 0) {
		*why = xasprintf("the keeper at %s did not answer: %s; "
				 "beginning anew", control, strerror(-r));
		return leave();
	}
	return map(why) || leave();
}

enum begin_how begin_find(bool carry, const char *control, char **why)
{
	*why = NULL;
	if (carry && map(why))
		return BEGIN_CARRIED;
	if (carry)
		close_range(ROLE_STATE, ~0u, 0);
	else if (from_store(why))
		return BEGIN_STORED;
	else if (control && from_keeper(control, why))
		return BEGIN_ASKED;
	return BEGIN_COLD;
}

void begin_succeeded(void)
{
	record_globals()->takeovers = 0;
	if (record_globals()->phase == 0)	/* else when confirmed */
		record_settle();
}

static const char *leaving_name(unsigned which, char *buf, size_t len)
{
	snprintf(buf, len, LEAVING_TEXT " %u", which);
	return buf;
}

static int remember(const char *name, const struct conf *c)
{
	size_t len;
	CLEANUP(freep) char *text = conf_dump(c, &len);

	return record_text_set(name, text, len);
}

/* Those who finish have the file that named them last, most of them the same
 * one. */
static void remember_leaving(const struct usher *u)
{
	const struct conf *known[LEAVING_MOST];
	const struct service *s;
	unsigned n = 0, i;
	char name[32];

	TAILQ_FOREACH(s, &u->gone, entry) {
		for (i = 0; i < n && known[i] != s->owner; i++)
			;
		if (i < n)
			continue;
		if (n == LEAVING_MOST ||
		    remember(leaving_name(n, name, sizeof(name)), s->owner) < 0)
			log_warning("service %s is removed and has connections "
				    "yet; an upgrade now would not keep them",
				    s->name);
		else
			known[n++] = s->owner;
	}
	for (; n < LEAVING_MOST; n++)
		record_text_set(leaving_name(n, name, sizeof(name)), NULL, 0);
}

void begin_remember(const struct usher *u)
{
	if (remember(CONF_TEXT, u->conf) < 0)
		log_warning("the configuration is too large to be kept; a "
			    "wrong file on disk would stop the next usher");
	remember_leaving(u);
}

static int recall(const char *name, struct conf **out,
		  struct conf_report *report)
{
	struct conf_source src = { .path = "the last good configuration",
				   .resolve = true };

	src.text = record_text(name, &src.len);
	if (!src.text)
		return -ENOENT;
	return conf_load(&src, out, report);
}

int begin_recall(struct conf **out, struct conf_report *report)
{
	size_t len;
	const char *text = record_text(CONF_TEXT, &len);
	struct conf *made = text ? made_take(text, len) : NULL;

	if (!made)
		return recall(CONF_TEXT, out, report);
	*out = made;
	return 0;
}

int begin_recall_leaving(unsigned which, struct conf **out)
{
	struct conf_report report = { 0 };
	char name[32];
	int r;

	r = recall(leaving_name(which, name, sizeof(name)), out, &report);
	conf_report_free(&report);
	return r;
}
