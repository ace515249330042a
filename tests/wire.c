/*
 * wire - an Ethernet switch of TAP devices with delay, loss and the like.
 *
 * Stands in for a bridge with netem where the kernel has none; tests/netns
 * makes and feeds it. Frames of one sender keep their order unless `reorder`
 * sends one past those that wait.
 *
 *	wire FIFO TAP...
 *
 * A line on FIFO, "TAP KEY=VALUE ...", changes what TAP's host sends: delay
 * and jitter in microseconds, loss, dup and reorder per million, rate in
 * bytes a second (0: none), down 0 or 1.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAX_PORTS  16
#define MAX_HOSTS  64
#define MAX_FRAME  65550
#define BURST      64
#define EVERYWHERE (-1)

struct frame {
	STAILQ_ENTRY(frame) entry;
	int64_t due;
	int to;
	size_t len;
	unsigned char data[];
};

/* What a host's sendings suffer; the names are the keys on the FIFO. */
enum { DELAY, JITTER, LOSS, DUP, REORDER, RATE, DOWN, N_KEYS };
static const char *const keys[N_KEYS] = {
	"delay", "jitter", "loss", "dup", "reorder", "rate", "down",
};

struct port {
	int fd;
	char name[IFNAMSIZ];
	long set[N_KEYS];
	int64_t last; /* when the last frame that waits is due */
	int64_t idle_at; /* when the line has sent what it was given */
	STAILQ_HEAD(, frame) waiting;
};

struct host {
	unsigned char mac[6];
	int port;
};

static struct port ports[MAX_PORTS];
static int n_ports;
static struct host hosts[MAX_HOSTS];
static int n_hosts;

static int64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static bool hit(long per_million)
{
	return per_million > 0 && random() % 1000000 < per_million;
}

static int port_of(const unsigned char *mac)
{
	for (int i = 0; i < n_hosts; i++)
		if (memcmp(hosts[i].mac, mac, 6) == 0)
			return hosts[i].port;
	return EVERYWHERE;
}

static void learn(const unsigned char *mac, int port)
{
	if (port_of(mac) != EVERYWHERE || n_hosts == MAX_HOSTS)
		return;
	memcpy(hosts[n_hosts].mac, mac, 6);
	hosts[n_hosts++].port = port;
}

static void deliver(int from, int to, const unsigned char *data, size_t len)
{
	for (int i = 0; i < n_ports; i++) {
		if (i == from || (to != EVERYWHERE && to != i))
			continue;
		if (ports[i].set[DOWN])
			continue;
		/* A full device loses the frame, as a switch would. */
		if (write(ports[i].fd, data, len) < 0 && errno != EAGAIN &&
		    errno != EIO)
			perror(ports[i].name);
	}
}

/* When a frame of LEN bytes leaves, after those that it may not pass. */
static int64_t due_at(struct port *p, size_t len, int64_t t)
{
	int64_t due = t + p->set[DELAY] * 1000;
	long jitter = p->set[JITTER];

	if (jitter > 0)
		due += (random() % (2 * jitter + 1) - jitter) * 1000;
	if (p->set[RATE] > 0) {
		if (p->idle_at < t)
			p->idle_at = t;
		p->idle_at += (int64_t)len * 1000000000 / p->set[RATE];
		due += p->idle_at - t;
	}
	if (due < p->last)
		due = p->last;
	return due;
}

static void wait_until(struct port *p, int64_t due, int to,
		       const unsigned char *data, size_t len)
{
	struct frame *f = malloc(sizeof(*f) + len);

	if (!f)
		return; /* lost, as on a wire */
	f->due = p->last = due;
	f->to = to;
	f->len = len;
	memcpy(f->data, data, len);
	STAILQ_INSERT_TAIL(&p->waiting, f, entry);
}

static void take(int from, const unsigned char *data, size_t len)
{
	struct port *p = &ports[from];
	int to = data[0] & 1 ? EVERYWHERE : port_of(data);
	int copies = 1 + hit(p->set[DUP]);
	int64_t t = now();

	learn(data + 6, from);
	if (p->set[DOWN] || hit(p->set[LOSS]))
		return;
	while (copies-- > 0) {
		int64_t due = due_at(p, len, t);

		if (hit(p->set[REORDER]) ||
		    (due <= t && STAILQ_EMPTY(&p->waiting)))
			deliver(from, to, data, len);
		else
			wait_until(p, due, to, data, len);
	}
}

static void read_port(int from)
{
	static unsigned char data[MAX_FRAME];

	for (int i = 0; i < BURST; i++) {
		ssize_t n = read(ports[from].fd, data, sizeof(data));

		if (n < 14)
			return;
		take(from, data, n);
	}
}

/* Sends what is due and returns how long until the next is, -1: none. */
static int send_due(void)
{
	int64_t t = now(), next = INT64_MAX;

	for (int i = 0; i < n_ports; i++) {
		struct frame *f;

		while ((f = STAILQ_FIRST(&ports[i].waiting)) && f->due <= t) {
			STAILQ_REMOVE_HEAD(&ports[i].waiting, entry);
			deliver(i, f->to, f->data, f->len);
			free(f);
		}
		if (f && f->due < next)
			next = f->due;
	}
	return next == INT64_MAX ? -1 : (next - t + 999999) / 1000000;
}

static void change(char *line)
{
	char *save = NULL, *word = strtok_r(line, " ", &save);
	struct port *p = NULL;

	for (int i = 0; word && i < n_ports; i++)
		if (strcmp(ports[i].name, word) == 0)
			p = &ports[i];
	while (p && (word = strtok_r(NULL, " ", &save))) {
		char *value = strchr(word, '=');

		if (!value)
			continue;
		*value++ = '\0';
		for (int k = 0; k < N_KEYS; k++)
			if (strcmp(keys[k], word) == 0)
				p->set[k] = atol(value);
	}
}

static void read_fifo(int fd)
{
	static char text[4096];
	static size_t len;
	ssize_t n = read(fd, text + len, sizeof(text) - 1 - len);
	char *end;

	if (n <= 0)
		return;
	len += n;
	text[len] = '\0';
	while ((end = strchr(text, '\n'))) {
		*end++ = '\0';
		change(text);
		len -= end - text;
		memmove(text, end, len + 1);
	}
	if (len == sizeof(text) - 1)
		len = 0;
}

static int open_tap(const char *name)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	struct port *p = &ports[n_ports];

	p->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (p->fd < 0)
		return -1;
	snprintf(request.ifr_name, IFNAMSIZ, "%s", name);
	if (ioctl(p->fd, TUNSETIFF, &request) < 0)
		return -1;
	snprintf(p->name, IFNAMSIZ, "%s", name);
	STAILQ_INIT(&p->waiting);
	n_ports++;
	return 0;
}

int main(int argc, char **argv)
{
	struct pollfd polled[MAX_PORTS + 1];
	int fifo;

	if (argc < 3 || argc > MAX_PORTS + 2) {
		fputs("usage: wire FIFO TAP...\n", stderr);
		return 2;
	}
	for (int i = 2; i < argc; i++)
		if (open_tap(argv[i]) < 0) {
			perror(argv[i]);
			return 1;
		}
	if (mkfifo(argv[1], 0600) < 0 && errno != EEXIST) {
		perror(argv[1]);
		return 1;
	}
	fifo = open(argv[1], O_RDWR | O_NONBLOCK | O_CLOEXEC);
	for (int i = 0; i < n_ports; i++)
		polled[i] = (struct pollfd){ports[i].fd, POLLIN, 0};
	polled[n_ports] = (struct pollfd){fifo, POLLIN, 0};
	puts("ready");
	fflush(stdout);
	for (;;) {
		if (poll(polled, n_ports + 1, send_due()) < 0 && errno != EINTR)
			return 1;
		for (int i = 0; i < n_ports; i++)
			if (polled[i].revents)
				read_port(i);
		if (polled[n_ports].revents)
			read_fifo(fifo);
	}
}
