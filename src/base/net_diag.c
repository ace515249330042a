/*
 * net_diag - who holds a door, and how full its queue is.
 *
 * The holder is looked for in /proc: the socket's inode by its address, then
 * the process with a descriptor of that inode. It is asked for when a bind has
 * failed, to be able to say more than "address in use".
 */
#include "base/net_private.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

/* /proc/net/tcp's states. */
#define STATE_LISTEN 0x0a

static void fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}

/* Any IP address in IPv6's form. */
static struct in6_addr as_in6(const struct addr_name *n)
{
	struct in6_addr a = { .s6_addr = { [10] = 0xff, [11] = 0xff } };

	if (n->u.sa.sa_family == AF_INET6)
		return n->u.in6.sin6_addr;
	memcpy(&a.s6_addr[12], &n->u.in.sin_addr, 4);
	return a;
}

static bool is_any(const struct in6_addr *a)
{
	return IN6_IS_ADDR_UNSPECIFIED(a) ||
	       (IN6_IS_ADDR_V4MAPPED(a) && a->s6_addr32[3] == 0);
}

/* Do both addresses claim a common one? */
static bool overlap(const struct in6_addr *a, const struct in6_addr *b)
{
	return is_any(a) || is_any(b) || IN6_ARE_ADDR_EQUAL(a, b);
}

/* The address's hexadecimal words in /proc/net are the machine's own. */
static bool hex_in6(const char *hex, struct in6_addr *out)
{
	size_t words = strlen(hex) / 8;

	memset(out, 0, sizeof(*out));
	if (words != 1 && words != 4)
		return false;
	for (size_t i = 0; i < words; i++)
		if (sscanf(hex + 8 * i, "%8" SCNx32,
			   &out->s6_addr32[words == 1 ? 3 : i]) != 1)
			return false;
	if (words == 1)
		out->s6_addr[10] = out->s6_addr[11] = 0xff;
	return true;
}

/* The inode of whoever claims NAME in FILE, or 0. */
static unsigned long inet_inode(const char *file, bool tcp,
				const struct addr_name *name)
{
	CLEANUP(fclosep) FILE *f = fopen(file, "re");
	struct in6_addr want = as_in6(name), have;
	unsigned int port, state;
	unsigned long inode;
	char line[512], hex[40];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, " %*d: %39[0-9A-Fa-f]:%x %*s %x %*s %*s %*s "
			   "%*s %*s %lu", hex, &port, &state, &inode) != 4)
			continue;
		/* Listeners come first; connections may be a million. */
		if (tcp && state != STATE_LISTEN)
			break;
		if (port == addr_port(name) && inode &&
		    hex_in6(hex, &have) && overlap(&want, &have))
			return inode;
	}
	return 0;
}

/* The inode of the Unix socket bound to PATH ("@": abstract), or 0. */
static unsigned long unix_inode(const char *path)
{
	CLEANUP(fclosep) FILE *f = fopen("/proc/net/unix", "re");
	unsigned int flags;
	unsigned long inode, found = 0;
	char line[512];
	int at;

	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		at = 0;
		if (sscanf(line, "%*x: %*x %*x %x %*x %*x %lu %n", &flags,
			   &inode, &at) < 2 || at == 0 ||
		    strcmp(line + at, path) != 0)
			continue;
		/* Accepted ones show the same name; the listener's flag is
		 * __SO_ACCEPTCON. */
		if (flags & 0x10000)
			return inode;
		found = inode;
	}
	return found;
}

/* Has the process in /proc/PID a descriptor of this socket? */
static bool holds(int proc, const char *pid, const char *socket)
{
	char path[300], link[64];
	struct dirent *de;
	bool found = false;
	ssize_t n;
	DIR *d;
	int fd;

	snprintf(path, sizeof(path), "%s/fd", pid);
	fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return false;
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return false;
	}
	while (!found && (de = readdir(d))) {
		n = readlinkat(dirfd(d), de->d_name, link, sizeof(link) - 1);
		if (n <= 0)
			continue;
		link[n] = '\0';
		found = strcmp(link, socket) == 0;
	}
	closedir(d);
	return found;
}

static void process_name(int proc, const char *pid, char *buf, size_t len)
{
	char path[300];
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof(path), "%s/comm", pid);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, buf, len - 1);
		close(fd);
	}
	buf[n > 0 ? n : 0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
}

/* The first process, in the order of pids: a master before its workers. */
static bool find_process(unsigned long inode, struct net_holder *out)
{
	char socket[64];
	struct dirent *de;
	bool found = false;
	DIR *d = opendir("/proc");

	snprintf(socket, sizeof(socket), "socket:[%lu]", inode);
	while (d && !found && (de = readdir(d))) {
		if (!isdigit((unsigned char)de->d_name[0]) ||
		    !holds(dirfd(d), de->d_name, socket))
			continue;
		out->pid = (pid_t)atoi(de->d_name);
		process_name(dirfd(d), de->d_name, out->name,
			     sizeof(out->name));
		found = true;
	}
	if (d)
		closedir(d);
	return found;
}

bool net_holder(const struct addr *a, const struct addr_name *name,
		struct net_holder *out)
{
	static const char *const files[][2] = {
		[ADDR_TCP] = { "/proc/net/tcp", "/proc/net/tcp6" },
		[ADDR_UDP] = { "/proc/net/udp", "/proc/net/udp6" },
	};
	unsigned long inode = 0;

	*out = (struct net_holder){ 0 };
	if (addr_is_unix(a->kind))
		inode = unix_inode(a->path);
	else if (a->kind == ADDR_TCP || a->kind == ADDR_UDP)
		for (int i = 0; i < 2 && inode == 0; i++)
			inode = inet_inode(files[a->kind][i],
					   a->kind == ADDR_TCP, name);
	return inode != 0 && find_process(inode, out);
}

static int tcp_queue(int fd, struct net_queue *out)
{
	struct tcp_info ti;
	socklen_t len = sizeof(ti);

	memset(&ti, 0, sizeof(ti));
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &ti, &len) < 0)
		return -errno;
	if (ti.tcpi_state != TCP_LISTEN)
		return -EINVAL;
	out->depth = ti.tcpi_unacked;
	out->max = ti.tcpi_sacked;
	return 0;
}

/* What waits in a datagram socket is counted in bytes of memory; a Unix one's
 * is its senders' memory and can't be seen. */
static int dgram_queue(int fd, struct net_queue *out)
{
	uint32_t mem[SK_MEMINFO_VARS] = { 0 };
	socklen_t len = sizeof(mem);

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, mem, &len) < 0)
		return -errno;
	out->depth = mem[SK_MEMINFO_RMEM_ALLOC];
	out->max = mem[SK_MEMINFO_RCVBUF];
	out->drops = mem[SK_MEMINFO_DROPS];
	return 0;
}

int net_queue_in(const struct net_queues *known, int fd, struct net_queue *out)
{
	int domain = 0, type = 0, on = 0;
	socklen_t len = sizeof(int);

	*out = (struct net_queue){ 0 };
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) < 0)
		return -errno;
	if (type == SOCK_DGRAM)
		return dgram_queue(fd, out);
	if (!on)
		return -EINVAL;
	return domain == AF_UNIX ? net_unix_queue(known, fd, out)
				 : tcp_queue(fd, out);
}

int net_queue(int fd, struct net_queue *out)
{
	return net_queue_in(NULL, fd, out);
}
