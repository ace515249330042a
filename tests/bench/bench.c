/*
 * bench - addresses, doors and the small things of every program here.
 *
 * See bench.h. What is measured, and how it is printed, is in window.c.
 */
#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

void die(const char *format, ...)
{
	int error = errno;
	va_list ap;

	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fprintf(stderr, error ? ": %s\n" : "\n", strerror(error));
	exit(1);
}

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

uint64_t number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);
	const char *units = "KMG", *unit = *end ? strchr(units, *end) : NULL;

	errno = 0;
	if (end == text || (*end && (!unit || end[1])))
		die("%s: not a number", text);
	return unit ? n << (10 * (unit - units + 1)) : n;
}

void all_descriptors(void)
{
	struct rlimit rl;

	getrlimit(RLIMIT_NOFILE, &rl);
	rl.rlim_cur = rl.rlim_max;
	setrlimit(RLIMIT_NOFILE, &rl);
}

static void at_path(struct where *w, const char *path)
{
	struct sockaddr_un *sun = (struct sockaddr_un *)&w->sa;

	errno = 0;
	if (strlen(path) >= sizeof(sun->sun_path))
		die("%s: path too long", path);
	sun->sun_family = AF_UNIX;
	strcpy(sun->sun_path, path);
	strcpy(w->path, path);
	w->len = sizeof(*sun);
}

static void at_port(struct where *w, const char *text)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&w->sa;
	char host[64];
	const char *colon = strrchr(text, ':');

	errno = 0;
	if (!colon || (size_t)(colon - text) >= sizeof(host))
		die("%s: not IP:PORT", text);
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = '\0';
	in->sin_family = AF_INET;
	in->sin_port = htons((uint16_t)number(colon + 1));
	if (inet_pton(AF_INET, host, &in->sin_addr) != 1)
		die("%s: not an IPv4 address", host);
	w->len = sizeof(*in);
}

struct where where(const char *text)
{
	static const struct {
		const char *prefix;
		int family, type;
		void (*read)(struct where *, const char *);
	} kinds[] = {
		{"tcp:", AF_INET, SOCK_STREAM, at_port},
		{"unix:", AF_UNIX, SOCK_STREAM, at_path},
		{"unix-dgram:", AF_UNIX, SOCK_DGRAM, at_path},
		{"fifo:", 0, 0, at_path},
	};
	struct where w = {0};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		size_t n = strlen(kinds[i].prefix);

		if (strncmp(text, kinds[i].prefix, n))
			continue;
		w.family = kinds[i].family;
		w.type = kinds[i].type;
		kinds[i].read(&w, text + n);
		return w;
	}
	errno = 0;
	die("%s: tcp:IP:PORT, unix:PATH, unix-dgram:PATH or fifo:PATH", text);
}

int door(const char *text, int flags)
{
	struct where w;
	int fd, one = 1;

	if (!text && getenv("LISTEN_FDS"))
		return 3;
	errno = 0;
	if (!text)
		die("no address: -a ADDRESS");
	w = where(text);
	if (*w.path)
		unlink(w.path);
	fd = socket(w.family, w.type | SOCK_CLOEXEC | flags, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&w.sa, w.len) < 0)
		die("%s: bind", text);
	if (w.type == SOCK_STREAM && listen(fd, 4096) < 0)
		die("%s: listen", text);
	return fd;
}

int dial(const struct where *to, int flags)
{
	int fd = socket(to->family, to->type | SOCK_CLOEXEC | flags, 0);
	int error;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&to->sa, to->len) == 0 ||
	    errno == EINPROGRESS)
		return fd;
	error = errno;
	close(fd);
	return -error;
}
