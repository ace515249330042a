/*
 * net_options - the options of an address, set on a socket.
 *
 * What the kernel refuses, or grants in part, is told in one line that names
 * the setting that would cure it; the door opens all the same.
 */
#include "base/net_private.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/record.h"
#include "base/text.h"

/* Seconds that the kernel waits for a client's first bytes under defer=. */
#define DEFER_SECONDS 10
#define MODE_DEFAULT  0666
/* linux/socket.h, which can't be beside sys/socket.h: SO_BUF_LOCK's bits. */
#define SNDBUF_LOCKED 1
#define RCVBUF_LOCKED 2

void net_tell(const struct net_note *note, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	if (!note || !note->fn)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	note->fn(note->arg, text);
}

/* Returns 0 or -errno, told. */
static int set(int fd, int level, int option, int value, const char *word,
	       const struct addr *a, const struct net_note *note)
{
	int r = 0;

	if (setsockopt(fd, level, option, &value, sizeof(value)) < 0) {
		r = -errno;
		net_tell(note, "%s: %s= was refused: %s", a->text, word,
			 strerror(-r));
	}
	return r;
}

/* With CAP_NET_ADMIN beyond the system's limit, else up to it. */
static int set_buffer(int fd, int64_t want, int force, int option,
		      const char *word, const char *limit,
		      const struct addr *a, const struct net_note *note)
{
	int value = want > INT_MAX / 2 ? INT_MAX / 2 : (int)want, got = 0, r;
	socklen_t len = sizeof(got);
	char size[32];

	if (want < 0)
		return 0;
	if (setsockopt(fd, SOL_SOCKET, force, &value, sizeof(value)) == 0)
		return 0;
	r = set(fd, SOL_SOCKET, option, value, word, a, note);
	/* The kernel doubles what it is asked for. */
	if (r == 0 && getsockopt(fd, SOL_SOCKET, option, &got, &len) == 0 &&
	    got / 2 < value)
		net_tell(note, "%s: %s= got only %s; net.core.%s limits it",
			 a->text, word,
			 text_size_print((uint64_t)(got / 2), size,
					 sizeof(size)), limit);
	return r;
}

static int buffers(int fd, const struct addr *a, const struct net_note *note)
{
	int r = set_buffer(fd, a->opt.rcvbuf, SO_RCVBUFFORCE, SO_RCVBUF,
			   "rcvbuf", "rmem_max", a, note);
	int r2 = set_buffer(fd, a->opt.sndbuf, SO_SNDBUFFORCE, SO_SNDBUF,
			    "sndbuf", "wmem_max", a, note);

	return r < 0 ? r : r2;
}

static int keepalive(int fd, const struct addr *a, const struct net_note *note)
{
	static const int options[] = { TCP_KEEPIDLE, TCP_KEEPINTVL,
				       TCP_KEEPCNT };
	const int values[] = { a->opt.keep_idle, a->opt.keep_intvl,
			       a->opt.keep_count };
	int r = set(fd, SOL_SOCKET, SO_KEEPALIVE, 1, "keepalive", a, note);

	for (size_t i = 0; i < ARRAY_SIZE(values) && r == 0; i++)
		if (values[i] > 0)
			r = set(fd, IPPROTO_TCP, options[i], values[i],
				"keepalive", a, note);
	return r;
}

void net_options_early(int fd, const struct addr *a,
		       const struct net_note *note)
{
	buffers(fd, a, note);
	if (a->kind != ADDR_TCP)
		return;
	if (a->opt.nodelay == ADDR_YES)
		set(fd, IPPROTO_TCP, TCP_NODELAY, 1, "nodelay", a, note);
	if (a->opt.keep_idle > 0)
		keepalive(fd, a, note);
}

void net_options_bind(int fd, const struct addr *a, int family,
		      const struct net_note *note)
{
	const char *device = a->opt.interface;

	if (family != AF_INET && family != AF_INET6)
		return;
	if (family == AF_INET6)
		set(fd, IPPROTO_IPV6, IPV6_V6ONLY, addr_is_v6only(a),
		    "v6only", a, note);
	if (a->opt.freebind == ADDR_YES)
		set(fd, IPPROTO_IP, IP_FREEBIND, 1, "freebind", a, note);
	if (device && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device,
				 (socklen_t)strlen(device)) < 0)
		net_tell(note, "%s: interface=%s was refused: %s", a->text,
			 device, strerror(errno));
}

void net_options_listen(int fd, const struct addr *a,
			const struct net_note *note)
{
	if (a->kind != ADDR_TCP)
		return;
	if (a->opt.defer == ADDR_YES)
		set(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, DEFER_SECONDS, "defer",
		    a, note);
	if (a->opt.fastopen > 0)
		set(fd, IPPROTO_TCP, TCP_FASTOPEN, a->opt.fastopen, "fastopen",
		    a, note);
}

/* The system's most, or 0 when it can't be read. */
static int somaxconn(void)
{
	FILE *f = fopen("/proc/sys/net/core/somaxconn", "re");
	int n = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%d", &n) != 1)
		n = 0;
	fclose(f);
	return n;
}

int net_backlog(int fd, const struct addr *a, const struct net_note *note)
{
	int most;

	/* The kernel cuts it to what the system allows. */
	if (a->opt.backlog < 0)
		return listen(fd, INT_MAX) < 0 ? -errno : 0;
	most = somaxconn();
	if (most > 0 && a->opt.backlog > most)
		net_tell(note, "%s: backlog= got only %d; net.core.somaxconn "
			 "limits it", a->text, most);
	return listen(fd, a->opt.backlog) < 0 ? -errno : 0;
}

/* NAME is a number or a name; -EINVAL, told. */
static int find_user(const char *name, uid_t *uid, const struct addr *a,
		     const struct net_note *note)
{
	struct passwd pw, *found = NULL;
	char buf[4096];
	int64_t n;

	if (text_number(name, 0, UINT32_MAX - 1, &n) == 0) {
		*uid = (uid_t)n;
		return 0;
	}
	if (getpwnam_r(name, &pw, buf, sizeof(buf), &found) || !found) {
		net_tell(note, "%s: owner=%s: no such user", a->text, name);
		return -EINVAL;
	}
	*uid = found->pw_uid;
	return 0;
}

static int find_group(const char *name, gid_t *gid, const struct addr *a,
		      const struct net_note *note)
{
	CLEANUP(freep) char *buf = xmalloc(65536);	/* many members */
	struct group gr, *found = NULL;
	int64_t n;

	if (text_number(name, 0, UINT32_MAX - 1, &n) == 0) {
		*gid = (gid_t)n;
		return 0;
	}
	if (getgrnam_r(name, &gr, buf, 65536, &found) || !found) {
		net_tell(note, "%s: group=%s: no such group", a->text, name);
		return -EINVAL;
	}
	*gid = found->gr_gid;
	return 0;
}

/* By a descriptor of the path, so that nothing that was put there instead
 * (a link, somebody's file) gets the rights. */
static void set_rights(int fd, const struct addr *a, uid_t uid, gid_t gid,
		       const struct net_note *note)
{
	mode_t mode = a->opt.mode >= 0 ? (mode_t)a->opt.mode : MODE_DEFAULT;
	char self[64];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	if ((a->opt.owner || a->opt.group) &&
	    fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0)
		net_tell(note, "%s: owner= and group= were refused: %s",
			 a->text, strerror(errno));
	if (chmod(self, mode) < 0)
		net_tell(note, "%s: mode= was refused: %s", a->text,
			 strerror(errno));
}

int net_path_rights(const char *path, const struct addr *a,
		    const struct net_note *note)
{
	uid_t uid = (uid_t)-1;
	gid_t gid = (gid_t)-1;
	struct stat st;
	int fd, r = 0;

	if (!addr_is_unix(a->kind) || a->path[0] != '/')
		return 0;
	if (a->opt.owner)
		r = find_user(a->opt.owner, &uid, a, note);
	if (r == 0 && a->opt.group)
		r = find_group(a->opt.group, &gid, a, note);
	if (r < 0)
		return r;
	fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISSOCK(st.st_mode))
		r = -EEXIST;
	else
		set_rights(fd, a, uid, gid, note);
	close(fd);
	return r;
}

/* What a new TCP socket has, -1: not to be had. */
static int tcp_default(int level, int option)
{
	CLEANUP(fd_closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC,
					   0);
	int value = -1;
	socklen_t len = sizeof(value);

	if (fd < 0 || getsockopt(fd, level, option, &value, &len) < 0)
		return -1;
	return value;
}

/* A size that is no longer said: what a new socket of this kind has. */
static void free_buffer(int fd, int option, int lock)
{
	int type = SOCK_STREAM, family = AF_INET, locks = 0, size = 0;
	socklen_t len = sizeof(int);
	CLEANUP(fd_closep) int fresh = -1;

	if (getsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &locks, &len) < 0 ||
	    !(locks & lock) ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) < 0)
		return;
	fresh = socket(family, type | SOCK_CLOEXEC, 0);
	if (fresh < 0 ||
	    getsockopt(fresh, SOL_SOCKET, option, &size, &len) < 0)
		return;
	size /= 2;		/* the kernel doubles what it is asked for */
	(void)setsockopt(fd, SOL_SOCKET, option, &size, sizeof(size));
	locks &= ~lock;
	(void)setsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &locks, sizeof(locks));
}

static int apply_buffers(int fd, const struct addr *a,
			 const struct net_note *note)
{
	if (a->kind != ADDR_FD && a->opt.rcvbuf < 0)
		free_buffer(fd, SO_RCVBUF, RCVBUF_LOCKED);
	if (a->kind != ADDR_FD && a->opt.sndbuf < 0)
		free_buffer(fd, SO_SNDBUF, SNDBUF_LOCKED);
	return buffers(fd, a, note);
}

/* 0 after it was on ends it; told only where it was wanted. */
static int apply_fastopen(int fd, const struct addr *a,
			  const struct net_note *note)
{
	int want = a->opt.fastopen > 0 ? a->opt.fastopen : 0, now = 0;
	socklen_t len = sizeof(now);

	if (getsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &now, &len) == 0 &&
	    now == want)
		return 0;
	return set(fd, IPPROTO_TCP, TCP_FASTOPEN, want, "fastopen", a, note);
}

static int apply_keepalive(int fd, const struct addr *a,
			   const struct net_note *note)
{
	static const int options[] = { TCP_KEEPIDLE, TCP_KEEPINTVL,
				       TCP_KEEPCNT };
	const int values[] = { a->opt.keep_idle, a->opt.keep_intvl,
			       a->opt.keep_count };

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		int value = values[i] > 0 ? -1
					  : tcp_default(IPPROTO_TCP,
							options[i]);

		if (value > 0)
			set(fd, IPPROTO_TCP, options[i], value, "keepalive",
			    a, note);
	}
	if (a->opt.keep_idle > 0)
		return keepalive(fd, a, note);
	return set(fd, SOL_SOCKET, SO_KEEPALIVE, 0, "keepalive", a, note);
}

/* What a TCP door can change while it lives; what is unset goes back. */
static int apply_tcp(int fd, const struct addr *a, const struct net_note *note)
{
	int defer = a->opt.defer == ADDR_YES ? DEFER_SECONDS : 0;
	int r, first;

	first = set(fd, IPPROTO_TCP, TCP_NODELAY, a->opt.nodelay == ADDR_YES,
		    "nodelay", a, note);
	r = set(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, defer, "defer", a, note);
	first = first < 0 ? first : r;
	r = apply_fastopen(fd, a, note);
	first = first < 0 ? first : r;
	r = apply_keepalive(fd, a, note);
	return first < 0 ? first : r;
}

/* An inherited socket is somebody else's making: only what was said. */
static int apply_fd(int fd, const struct addr *a, const struct net_note *note)
{
	int r = 0, r2 = 0;

	if (a->opt.nodelay != ADDR_UNSET)
		r = set(fd, IPPROTO_TCP, TCP_NODELAY, a->opt.nodelay,
			"nodelay", a, note);
	if (a->opt.keep_idle > 0)
		r2 = keepalive(fd, a, note);
	r = r < 0 ? r : r2;
	if (a->opt.defer != ADDR_UNSET)
		r2 = set(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT,
			 a->opt.defer ? DEFER_SECONDS : 0, "defer", a, note);
	r = r < 0 ? r : r2;
	if (a->opt.fastopen > 0)
		r2 = set(fd, IPPROTO_TCP, TCP_FASTOPEN, a->opt.fastopen,
			 "fastopen", a, note);
	return r < 0 ? r : r2;
}

static bool listening(int fd)
{
	int on = 0;
	socklen_t len = sizeof(on);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) == 0 && on;
}

int net_apply(int fd, const struct addr *a, const struct net_note *note)
{
	int first = apply_buffers(fd, a, note), r = 0;

	if (a->kind == ADDR_TCP)
		r = apply_tcp(fd, a, note);
	else if (a->kind == ADDR_FD)
		r = apply_fd(fd, a, note);
	first = first < 0 ? first : r;
	if (listening(fd) && (a->kind != ADDR_FD || a->opt.backlog > 0))
		r = net_backlog(fd, a, note);
	first = first < 0 ? first : r;
	r = net_path_rights(a->path, a, note);
	return first < 0 ? first : r;
}

int net_raise(int fd)
{
	int high = fcntl(fd, F_DUPFD, RECORD_LOW);
	int r = high < 0 ? -errno : high;

	close(fd);
	return r;
}
