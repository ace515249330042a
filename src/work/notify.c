/*
 * notify - what workers say on their NOTIFY_SOCKET; see notify.h.
 *
 * A message is read whole before anything is done, since FDNAME and FDPOLL
 * may stand before or after FDSTORE (sd_notify(3)). What a callback does may
 * end the worker and with it this socket, so the end is put off while a
 * message is being told.
 */
#include "work/notify.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"

/* As systemd's own: a longer message is none. */
#define MESSAGE_MAX 4096
#define STATUS_MAX  1000
#define NAME_MAX_FD 255
/* A burst, then others have their turn. */
#define BURST	    16

struct notify {
	struct service *s;
	const struct notify_events *events;
	void *arg;
	int record;
	bool stores;
	bool telling, over;	/* a callback runs; it closed us */
	bool refused;		/* said once that FDSTORE can't be */
	char address[64];
};

/* RECORD_NOTIFY's data. */
struct notify_data {
	uint32_t uid;		/* the worker's */
};

/* One message, taken apart. */
struct words {
	bool ready, stopping, watchdog, trigger, barrier, extend;
	bool store, unstore, poll;
	int64_t extend_us;
	const char *status, *name;
	unsigned odd;		/* lines that are no assignment, wrong values */
};

/* ---- words ---- */

static void w_ready(struct words *w, const char *v)
{
	w->ready = strcmp(v, "1") == 0;
}

static void w_stopping(struct words *w, const char *v)
{
	w->stopping = strcmp(v, "1") == 0;
}

static void w_watchdog(struct words *w, const char *v)
{
	w->watchdog = strcmp(v, "1") == 0;
	w->trigger = strcmp(v, "trigger") == 0;
	w->odd += !w->watchdog && !w->trigger;
}

static void w_extend(struct words *w, const char *v)
{
	w->extend = text_number(v, 0, INT64_MAX, &w->extend_us) == 0;
	w->odd += !w->extend;
}

static void w_barrier(struct words *w, const char *v)
{
	w->barrier = strcmp(v, "1") == 0;
}

static void w_status(struct words *w, const char *v)
{
	w->status = v;
}

static void w_store(struct words *w, const char *v)
{
	w->store = strcmp(v, "1") == 0;
}

static void w_unstore(struct words *w, const char *v)
{
	w->unstore = strcmp(v, "1") == 0;
}

static void w_poll(struct words *w, const char *v)
{
	bool on = true;

	w->odd += text_bool(v, &on) < 0;
	w->poll = on;
}

/* What sd_notify(3) takes: printable ASCII without colon, up to 255. */
static void w_name(struct words *w, const char *v)
{
	size_t len = strlen(v);

	for (size_t i = 0; i < len; i++)
		if (v[i] < ' ' || v[i] > '~' || v[i] == ':')
			len = 0;
	if (len == 0 || len > NAME_MAX_FD)
		w->odd++;
	else
		w->name = v;
}

static const struct {
	const char *word;
	void (*fn)(struct words *w, const char *value);
} known[] = {
	{ "READY", w_ready },
	{ "STOPPING", w_stopping },
	{ "WATCHDOG", w_watchdog },
	{ "EXTEND_TIMEOUT_USEC", w_extend },
	{ "BARRIER", w_barrier },
	{ "STATUS", w_status },
	{ "FDSTORE", w_store },
	{ "FDSTOREREMOVE", w_unstore },
	{ "FDNAME", w_name },
	{ "FDPOLL", w_poll },
};

static void line(struct words *w, char *text)
{
	char *value = strchr(text, '=');

	if (!value) {
		w->odd += *text != 0;
		return;
	}
	*value++ = 0;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcmp(known[i].word, text) == 0) {
			known[i].fn(w, value);
			return;
		}
	/* Words of ours to come, MAINPID, X_ words: no mistakes. */
}

static void take_apart(char *text, struct words *w)
{
	*w = (struct words){ .poll = true };
	for (char *next; text; text = next) {
		next = strchr(text, '\n');
		if (next)
			*next++ = 0;
		line(w, text);
	}
}

/* ---- acting ---- */

static void tell_status(struct notify *n, const char *text)
{
	char clean[STATUS_MAX + 1];

	snprintf(clean, sizeof(clean), "%s", text);
	for (char *p = clean; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			*p = '?';
	n->events->status(n->arg, clean);
}

static void tell_store(struct notify *n, const struct words *w,
		       struct fd_message *m)
{
	if (!n->stores && !n->refused) {
		n->refused = true;
		service_log(n->s, LOG_LEVEL_WARNING,
			    "FDSTORE refused: only handoff = share with "
			    "protocol = systemd gives descriptors back");
	}
	for (int i = 0; i < m->n; i++) {
		const char *why;

		if (!n->stores || !n->events->store ||
		    fd_check(m->fds[i], FD_WANT_ANY, &why) < 0) {
			n->s->data->gossip++;
			continue;
		}
		n->events->store(n->arg, m->fds[i],
				 w->name ? w->name : "stored", w->poll);
		m->fds[i] = -1;
	}
}

static void act(struct notify *n, const struct words *w, struct fd_message *m)
{
	const struct notify_events *e = n->events;

	if (w->extend && e->extend)
		e->extend(n->arg, w->extend_us);
	if (w->status && e->status)
		tell_status(n, w->status);
	if (w->watchdog && e->watchdog)
		e->watchdog(n->arg);
	if (w->store)
		tell_store(n, w, m);
	if (w->unstore && n->stores && e->unstore)
		e->unstore(n->arg, w->name ? w->name : "stored");
	if (w->ready && e->ready)
		e->ready(n->arg);
	if (w->stopping && e->stopping)
		e->stopping(n->arg);
	if (w->trigger && e->trigger)
		e->trigger(n->arg);
}

/* Descriptors that nobody took are closed: BARRIER waits for just that. */
static void close_rest(struct fd_message *m)
{
	for (int i = 0; i < m->n; i++)
		if (m->fds[i] >= 0)
			fd_drop(m->fds[i]);
	m->n = 0;
}

static bool may_speak(const struct notify *n, const struct fd_message *m)
{
	uid_t uid = RECORD_AS(n->record, struct notify_data)->uid;

	return m->has_cred && (m->cred.uid == uid || m->cred.uid == 0);
}

/* One message. False: there is none now. */
static bool hear(struct notify *n)
{
	char text[MESSAGE_MAX + 1];
	int fds[FD_MESSAGE_MAX];
	struct fd_message m = { .buf = text, .size = MESSAGE_MAX,
				.fds = fds, .max = FD_MESSAGE_MAX };
	struct words w;
	int r = fd_receive(record_at(n->record)->fd[0], &m, MSG_DONTWAIT);

	if (r == -EMSGSIZE || r == -EBADMSG) {
		n->s->data->gossip++;
		return true;
	}
	if (r < 0)
		return false;
	/* 0 is an empty datagram here, there is no end. */
	text[m.len] = 0;
	if (r == 0 || strlen(text) != m.len || !may_speak(n, &m)) {
		n->s->data->gossip++;
	} else {
		take_apart(text, &w);
		n->s->data->gossip += w.odd;
		act(n, &w, &m);
	}
	close_rest(&m);
	return true;
}

static void end(struct notify *n)
{
	record_close(n->record);
	free(n);
}

static void on_message(void *arg, uint32_t events)
{
	struct notify *n = arg;

	(void)events;
	n->telling = true;
	for (int i = 0; i < BURST && !n->over && hear(n); i++)
		;
	n->telling = false;
	if (n->over)
		end(n);
}

/* ---- the socket ---- */

/* An abstract name that nobody can guess before it is bound. */
static int bind_name(int fd, char *address, size_t len)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	uint64_t number = 0;
	int n;

	if (getrandom(&number, sizeof(number), GRND_NONBLOCK) < 0)
		number = (uint64_t)loop_us();
	n = snprintf(address, len, "@usher/%u/%016llx",
		     record_globals()->generation, (unsigned long long)number);
	memcpy(sa.sun_path, address, (size_t)n);
	sa.sun_path[0] = 0;
	if (bind(fd, (void *)&sa, (socklen_t)(offsetof(struct sockaddr_un,
						       sun_path) + n)) < 0)
		return -errno;
	return 0;
}

static int make_socket(char *address, size_t len)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1, r = -EADDRINUSE;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
		r = -errno;
	for (int i = 0; i < 8 && r == -EADDRINUSE; i++)
		r = bind_name(fd, address, len);
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

static struct notify *notify_new(struct service *s, bool stores,
				 const struct notify_events *events, void *arg,
				 int record)
{
	struct notify *n = xcalloc(1, sizeof(*n));

	n->s = s;
	n->stores = stores;
	n->events = events;
	n->arg = arg;
	n->record = record;
	return n;
}

int notify_open(struct service *s, uid_t uid, bool stores,
		const struct notify_events *events, void *arg,
		struct notify **out)
{
	char address[sizeof((*out)->address)];
	int fd = make_socket(address, sizeof(address));
	struct notify *n;
	int record, r;

	if (fd < 0)
		return fd;
	record = record_new(RECORD_NOTIFY, s->slot, 0);
	if (record < 0) {
		close(fd);
		return record;
	}
	record_set_fd(record, 0, fd);
	RECORD_AS(record, struct notify_data)->uid = uid;
	record_commit(record);
	n = notify_new(s, stores, events, arg, record);
	memcpy(n->address, address, sizeof(address));
	r = loop_watch(s->u->loop, record, 0, EPOLLIN, on_message, n);
	if (r < 0) {
		end(n);
		return r;
	}
	*out = n;
	return 0;
}

const char *notify_address(const struct notify *n)
{
	return n->address;
}

int notify_record(const struct notify *n)
{
	return n->record;
}

/* The name that the socket has, as it stands in the environment. */
static int find_address(int fd, char *address, size_t len)
{
	struct sockaddr_un sa;
	socklen_t n = sizeof(sa);

	if (getsockname(fd, (void *)&sa, &n) < 0)
		return -errno;
	n -= offsetof(struct sockaddr_un, sun_path);
	if (sa.sun_family != AF_UNIX || n < 2 || n >= len || sa.sun_path[0])
		return -EINVAL;
	memcpy(address, sa.sun_path, n);
	address[0] = '@';
	address[n] = 0;
	return 0;
}

int notify_adopt(struct service *s, int record, bool stores,
		 const struct notify_events *events, void *arg,
		 struct notify **out)
{
	struct notify *n = notify_new(s, stores, events, arg, record);
	int r = find_address(record_at(record)->fd[0], n->address,
			     sizeof(n->address));

	if (r < 0) {
		end(n);
		return r;
	}
	loop_resume(s->u->loop, record, 0, EPOLLIN, on_message, n);
	*out = n;
	return 0;
}

void notify_close(struct notify **np)
{
	struct notify *n = TAKE(*np);

	if (!n)
		return;
	n->over = true;
	if (n->telling)
		return;		/* on_message sees to the rest */
	for (int i = 0; i < BURST && hear(n); i++)
		;
	end(n);
}
