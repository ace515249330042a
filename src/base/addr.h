/*
 * addr - addresses of doors and upstreams: words to sockets' names and back.
 *
 * Parsing never asks the network; names of hosts and services are resolved by
 * addr_resolve, which may block and is used at load, in the client commands
 * and in the resolver's thread, never in the loop.
 */
#ifndef USHER_BASE_ADDR_H
#define USHER_BASE_ADDR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>
#include <netinet/in.h>

#include "base/mem.h"

enum addr_kind {
	ADDR_TCP,	/* tcp: tcp4: tcp6: */
	ADDR_UDP,	/* udp: udp4: udp6: */
	ADDR_UNIX,	/* unix:/PATH unix:@NAME */
	ADDR_UNIX_SEQPACKET,
	ADDR_UNIX_DGRAM,
	ADDR_UNIX_PASS,	/* a stream listener whose connections bring one fd */
	ADDR_FIFO,	/* fifo:NAME fifo:/PATH */
	ADDR_FD,	/* fd:NAME */
};

/* A socket's name of any family that we use. */
union addr_sock {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
};

struct addr_name {
	union addr_sock u;
	socklen_t len;		/* 0: none (an unbound Unix peer has 2) */
};

enum addr_bool { ADDR_UNSET = -1, ADDR_NO = 0, ADDR_YES = 1 };

struct addr_options {
	char *name;		/* name= */
	int mode;		/* mode=, -1: default of the kind */
	char *owner, *group;	/* owner= group= */
	int backlog;		/* backlog=, -1: the system's most */
	int8_t v6only, freebind, defer, nodelay;	/* enum addr_bool */
	char *interface;	/* interface= */
	int fastopen;		/* queue length, -1 unset */
	int keep_idle, keep_intvl, keep_count;	/* keepalive=, -1 unset */
	int64_t rcvbuf, sndbuf;	/* -1 unset */
	char *source;		/* source= (upstreams) */
};

struct addr {
	enum addr_kind kind;
	int family;		/* AF_UNSPEC, AF_INET, AF_INET6, AF_UNIX */
	char *host;		/* TCP, UDP; NULL: all */
	char *port;		/* TCP, UDP: number or service name */
	char *path;		/* Unix ("@NAME": abstract), FIFO, fd's name */
	struct addr_options opt;
	char *text;		/* as printed back, without options */
	/* Filled by addr_resolve (Unix: by addr_parse). */
	struct addr_name *names;
	size_t nnames;
};

/* Parses "ADDRESS option=value ...". 0, or -EINVAL with an allocated half
 * sentence in *WHY that says what is wrong and what would do. */
int addr_parse(const char *s, struct addr *out, char **why);
void addr_free(struct addr *a);
/* A deep copy. */
void addr_copy(struct addr *to, const struct addr *from);
/* Same kind, family, address, type: the same door. */
bool addr_same(const struct addr *a, const struct addr *b);
/* Same in those options that act when it is bound, and never again. */
bool addr_same_bound(const struct addr *a, const struct addr *b);
/* Is a socket for IPv6 not to be for IPv4 too? */
bool addr_is_v6only(const struct addr *a);
/* "tcp", "unix-seqpacket" ... */
const char *addr_kind_name(enum addr_kind kind);
int addr_socktype(enum addr_kind kind);
bool addr_is_unix(enum addr_kind kind);

/* Resolves host and port by getaddrinfo; blocks. 0, or -errno with an
 * allocated text in *WHY. PASSIVE: to bind. */
int addr_resolve(struct addr *a, bool passive, char **why);

/* An address of a peer as people write it: 192.0.2.1:80, [2001:db8::1]:80,
 * unix:/path, unix:@name, unix: (unnamed). Mapped IPv4 as IPv4. */
#define ADDR_TEXT 128
const char *addr_print(const struct addr_name *n, char *buf, size_t len);
/* Only the host part, without brackets; mapped IPv4 as IPv4. */
const char *addr_print_host(const struct addr_name *n, char *buf, size_t len);
/* Port, or 0. */
uint16_t addr_port(const struct addr_name *n);
/* ::ffff:a.b.c.d becomes IPv4. */
void addr_unmap(struct addr_name *n);

/* CIDR: "192.0.2.0/24", "2001:db8::/32", a plain address; "unix" is no CIDR. */
struct addr_cidr {
	int family;
	uint8_t bytes[16];
	uint8_t prefix;
};
int addr_cidr_parse(const char *s, struct addr_cidr *out);
bool addr_cidr_match(const struct addr_cidr *c, const struct addr_name *n);
const char *addr_cidr_print(const struct addr_cidr *c, char *buf, size_t len);

#endif
