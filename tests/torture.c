/*
 * torture - bytes through a relay, both ways at once, each one checked.
 *
 *	torture -l UPSTREAM -c DOOR -n CONNECTIONS -b BYTES [-s SEED]
 *		[-r PERCENT] [-w PERCENT] [-e] [-R RATE]
 *
 * Listens at UPSTREAM (tcp:PORT on loopback, unix:PATH), connects to DOOR,
 * and is both ends of CONNECTIONS connections, which carry BYTES in all, in
 * chunks of random size. Each end sends a stream that a function of its place
 * tells, shuts its side, and reads to the other's end: so order, loss and
 * doubling show at the first wrong byte. -r: so many are reset by one end on
 * the way. -w: so many ends read slowly. -e: DOOR echoes, UPSTREAM is not
 * used. -R: RATE bytes a second in all, until standard input ends; says
 * "ready" once all connections are there. Exit 0: all came as they must.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CHUNK    (64 * 1024)
#define IN_FLIGHT 64		/* not yet accepted at a time */
#define NOBODY   UINT32_MAX
#define PATIENCE 30		/* s, from the input's end to ours */

struct conn {
	uint64_t len[2];	/* what each end sends: 0 client, 1 server */
	uint64_t reset_at;	/* bytes after which an end resets, 0 never */
	uint32_t resetter;
	bool reset, slow[2], hung_up[2];
};

struct end {
	struct end *next;	/* of all, for the end */
	int fd;
	uint32_t conn;		/* NOBODY: its first bytes will say */
	unsigned side;
	uint64_t sent, got;
	unsigned char hello[4];
	unsigned greeted;
	bool shut, done;
};

static uint64_t seed = 1, state;
static struct conn *conns;
static struct end *ends;
static uint32_t n_conns = 1, opened, arrived, ended;
static bool echo;
static uint64_t rate, total;	/* bytes a second, all that were sent */
static bool input_over;
static bool enough;		/* was sent: the rate lets no more pass yet */
static int ep, door = -1;
static char buf[CHUNK], want[CHUNK];

static void die(const char *what)
{
	fprintf(stderr, "torture: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t mix(uint64_t z)
{
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static uint64_t chance(uint64_t below)
{
	state += 0x9e3779b97f4a7c15ull;
	return mix(state) % below;
}

/* Bytes OFF to OFF + LEN of the stream that END's SIDE sends. */
static void stream(uint32_t conn, unsigned side, uint64_t off, char *p,
		   size_t len)
{
	uint64_t base = mix(seed * 31 + conn * 2 + side);

	for (size_t i = 0; i < len;) {
		uint64_t word = mix(base + (off + i) / 8 *
				    0x9e3779b97f4a7c15ull);
		size_t skip = (off + i) % 8, n = 8 - skip;

		if (n > len - i)
			n = len - i;
		memcpy(p + i, (char *)&word + skip, n);
		i += n;
	}
}

static socklen_t name_of(const char *text, struct sockaddr_storage *out)
{
	struct sockaddr_in *in = (void *)out;
	struct sockaddr_un *un = (void *)out;

	memset(out, 0, sizeof(*out));
	if (strncmp(text, "tcp:", 4) == 0) {
		in->sin_family = AF_INET;
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		in->sin_port = htons((uint16_t)atoi(text + 4));
		return sizeof(*in);
	}
	un->sun_family = AF_UNIX;
	snprintf(un->sun_path, sizeof(un->sun_path), "%s", text + 5);
	return sizeof(*un);
}

static void watch(struct end *e)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT,
				  .data.ptr = e };

	if (epoll_ctl(ep, EPOLL_CTL_ADD, e->fd, &ev) < 0)
		die("epoll_ctl");
}

static struct end *end_new(int fd, uint32_t conn, unsigned side)
{
	struct end *e = calloc(1, sizeof(*e));

	if (!e)
		die("calloc");
	*e = (struct end){ .next = ends, .fd = fd, .conn = conn, .side = side };
	ends = e;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	watch(e);
	return e;
}

static void open_one(const struct sockaddr_storage *to, socklen_t len)
{
	int fd = socket(to->ss_family, SOCK_STREAM, 0);

	if (fd < 0)
		die("socket");
	if (connect(fd, (const void *)to, len) < 0)
		die("connect");
	end_new(fd, opened++, 0);
}

static void end_done(struct end *e)
{
	e->done = true;
	close(e->fd);
	ended++;
}

static void wrong(const struct end *e, const char *what)
{
	fprintf(stderr, "torture: connection %u, %s: %s at %llu\n", e->conn,
		e->side ? "upstream" : "client", what,
		(unsigned long long)e->got);
	exit(1);
}

/* Does E reset now? */
static bool resets(struct end *e)
{
	const struct linger now = { .l_onoff = 1 };
	struct conn *c = &conns[e->conn];

	if (!c->reset || c->resetter != e->side || e->sent < c->reset_at)
		return false;
	setsockopt(e->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	end_done(e);
	return true;
}

/* A reset is for the other end an error or, over Unix, an early end. */
static bool broken(struct end *e, const char *what)
{
	if (!conns[e->conn].reset)
		wrong(e, what);
	end_done(e);
	return false;
}

static uint64_t expected(const struct end *e)
{
	return conns[e->conn].len[echo ? 0 : 1 - e->side];
}

static bool receive(struct end *e)
{
	bool slow = conns[e->conn].slow[e->side];
	size_t most = slow ? 1 + chance(2048) : 1 + chance(CHUNK);
	ssize_t n;

	if (slow && chance(4))
		return true;
	n = recv(e->fd, buf, most, 0);
	if (n < 0)
		return errno == EAGAIN || broken(e, strerror(errno));
	if (n == 0) {
		if (e->got != expected(e))
			return broken(e, "an early end");
		conns[e->conn].hung_up[e->side] = true;
		if (e->shut)
			end_done(e);
		return false;
	}
	stream(e->conn, echo ? 0 : 1 - e->side, e->got, want, (size_t)n);
	if (memcmp(buf, want, (size_t)n) != 0)
		wrong(e, "wrong bytes");
	e->got += (uint64_t)n;
	return true;
}

static bool transmit(struct end *e)
{
	uint64_t left = conns[e->conn].len[e->side] - e->sent;
	size_t n = 1 + chance(chance(2) ? 300 : CHUNK);
	ssize_t w;

	if (e->shut || (enough && !input_over))
		return true;
	if (n > left)
		n = left;
	stream(e->conn, e->side, e->sent, buf, n);
	w = n ? send(e->fd, buf, n, MSG_NOSIGNAL) : 0;
	if (w < 0)
		return errno == EAGAIN || broken(e, strerror(errno));
	e->sent += (uint64_t)w;
	total += (uint64_t)w;
	if (resets(e))
		return false;
	if (e->sent == conns[e->conn].len[e->side]) {
		struct epoll_event ev = { .events = EPOLLIN, .data.ptr = e };

		shutdown(e->fd, SHUT_WR);
		e->shut = true;
		if (conns[e->conn].hung_up[e->side]) {
			end_done(e);
			return false;
		}
		epoll_ctl(ep, EPOLL_CTL_MOD, e->fd, &ev);
	}
	return true;
}

/* The client's first bytes say which connection this is. */
static bool greet(struct end *e)
{
	uint32_t conn;
	ssize_t n;

	if (e->side == 0) {
		if (send(e->fd, &e->conn, 4, MSG_NOSIGNAL) != 4)
			wrong(e, "no greeting");
		e->greeted = 4;
		return true;
	}
	n = recv(e->fd, e->hello + e->greeted, 4 - e->greeted, 0);
	if (n <= 0)		/* a reset may have overtaken it */
		return false;
	e->greeted += (unsigned)n;
	if (e->greeted < 4)
		return false;
	memcpy(&conn, e->hello, 4);
	if (conn >= n_conns)
		wrong(e, "a wrong greeting");
	e->conn = conn;
	arrived++;
	return true;
}

static void on_end(struct end *e, uint32_t events)
{
	if (e->done)
		return;
	if (!echo && e->greeted < 4 && !greet(e))
		return;
	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) &&
	    !conns[e->conn].hung_up[e->side] && !receive(e)) {
		if (e->done)
			return;
	}
	if ((events & EPOLLOUT) && !e->done)
		transmit(e);
	/* The other's end was read, ours is not sent yet: wait for room. */
	if (!e->done && conns[e->conn].hung_up[e->side]) {
		struct epoll_event ev = { .events = EPOLLOUT, .data.ptr = e };

		if (!e->shut)
			epoll_ctl(ep, EPOLL_CTL_MOD, e->fd, &ev);
	}
}

static void plan(uint64_t bytes, unsigned resets_in_100, unsigned slow_in_100)
{
	conns = calloc(n_conns, sizeof(*conns));
	if (!conns)
		die("calloc");
	for (uint32_t i = 0; i < n_conns; i++) {
		struct conn *c = &conns[i];
		uint64_t each = bytes / n_conns;

		c->len[0] = each / 2 + chance(each / 2 + 1);
		c->len[1] = each - (c->len[0] < each ? c->len[0] : each);
		if (echo)
			c->len[0] = each;
		c->slow[0] = chance(100) < slow_in_100;
		c->slow[1] = chance(100) < slow_in_100;
		c->reset = chance(100) < resets_in_100;
		c->resetter = echo ? 0 : (uint32_t)chance(2);
		c->reset_at = chance(c->len[c->resetter] + 1);
	}
}

static void listen_at(const char *address)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct sockaddr_storage name;
	socklen_t len = name_of(address, &name);
	int on = 1;

	door = socket(name.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(door, (void *)&name, len) < 0 || listen(door, 4096) < 0)
		die(address);
	epoll_ctl(ep, EPOLL_CTL_ADD, door, &ev);
}

static void accept_all(void)
{
	int fd;

	while ((fd = accept(door, NULL, NULL)) >= 0)
		end_new(fd, NOBODY, 1);
}

/* A reset may take the other end before it ever arrives. */
static bool finished(uint32_t all)
{
	static uint32_t last;
	static time_t since;
	uint32_t resets_left = 0;

	if (ended >= all)
		return true;
	if (ended != last || opened < n_conns) {
		last = ended;
		since = time(NULL);
		return false;
	}
	for (uint32_t i = 0; i < n_conns; i++)
		resets_left += conns[i].reset;
	return all - ended <= resets_left && time(NULL) - since >= 2;
}

/* What each has sent is now all that it sends. */
static void cut_short(void)
{
	for (struct end *e = ends; e; e = e->next)
		if (!e->done && e->conn != NOBODY)
			conns[e->conn].len[e->side] = e->sent;
	input_over = true;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* At a rate: pauses while enough was sent, and looks at standard input. */
static void keep_rate(time_t *end)
{
	static uint64_t began;
	static bool told;
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	uint64_t now = now_ms();

	if (!began)
		began = now;
	*end = time(NULL) + PATIENCE;
	if (!told && opened == n_conns && (echo || arrived == n_conns)) {
		printf("ready\n");
		fflush(stdout);
		told = true;
	}
	enough = total > (now - began) * rate / 1000;
	if (poll(&in, 1, enough ? 5 : 0) > 0)
		cut_short();
}

static void run(const struct sockaddr_storage *to, socklen_t len)
{
	uint32_t all = echo ? n_conns : 2 * n_conns;
	struct epoll_event ev[256];
	time_t end = time(NULL) + 600;

	while (!finished(all)) {
		int n;

		while (opened < n_conns &&
		       (echo || opened < arrived + IN_FLIGHT))
			open_one(to, len);
		if (rate && !input_over)
			keep_rate(&end);
		n = epoll_wait(ep, ev, 256, 500);
		for (int i = 0; i < n; i++) {
			if (ev[i].data.ptr)
				on_end(ev[i].data.ptr, ev[i].events);
			else
				accept_all();
		}
		if (time(NULL) > end) {
			fprintf(stderr, "torture: %u of %u ends in time\n",
				ended, all);
			exit(1);
		}
	}
}

int main(int argc, char **argv)
{
	unsigned resets_in_100 = 0, slow_in_100 = 0;
	const char *listen_address = NULL, *to = NULL;
	struct sockaddr_storage name;
	struct rlimit r;
	uint64_t bytes = 1 << 20;
	socklen_t len;
	int o;

	while ((o = getopt(argc, argv, "l:c:n:b:s:r:w:eR:")) != -1) {
		switch (o) {
		case 'l': listen_address = optarg; break;
		case 'c': to = optarg; break;
		case 'n': n_conns = (uint32_t)atoi(optarg); break;
		case 'b': bytes = strtoull(optarg, NULL, 10); break;
		case 's': seed = strtoull(optarg, NULL, 10); break;
		case 'r': resets_in_100 = (unsigned)atoi(optarg); break;
		case 'w': slow_in_100 = (unsigned)atoi(optarg); break;
		case 'e': echo = true; break;
		case 'R': rate = strtoull(optarg, NULL, 10); break;
		default: return 2;
		}
	}
	if (!to || (!echo && !listen_address))
		return 2;
	getrlimit(RLIMIT_NOFILE, &r);
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
	state = seed;
	if (rate)		/* more than it will have time for */
		bytes = (uint64_t)n_conns << 40;
	ep = epoll_create1(0);
	plan(bytes, resets_in_100, slow_in_100);
	if (!echo)
		listen_at(listen_address);
	len = name_of(to, &name);
	run(&name, len);
	for (struct end *e = ends, *next; e; e = next) {
		next = e->next;
		free(e);
	}
	free(conns);
	if (listen_address && strncmp(listen_address, "unix:", 5) == 0)
		unlink(listen_address + 5);
	printf("%u connections, %llu bytes\n", n_conns,
	       (unsigned long long)total);
	return 0;
}
