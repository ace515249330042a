/*
 * net_unix_diag - accept queues of Unix sockets, by sock_diag(7).
 *
 * One socket by its inode, or all that listen in one dump. Netlink answers
 * within the request, so nothing here waits.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/net_private.h"

/* For a kernel gone astray. */
#define DIAG_MS 200

struct known {
	uint32_t inode, depth, max;
};

/* By inode, in a table that is at most half full. Inode 0 is a free place. */
struct net_queues {
	struct known *v;
	uint32_t n, room;	/* a power of two */
	int nl;			/* more will come from here; -1: that was all */
	unsigned holders;
};

#define FIRST_ROOM 256

static int ask(int nl, uint32_t inode)
{
	struct {
		struct nlmsghdr head;
		struct unix_diag_req req;
	} m = {
		.head = { .nlmsg_len = sizeof(m),
			  .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			  .nlmsg_flags = NLM_F_REQUEST },
		.req = { .sdiag_family = AF_UNIX,
			 .udiag_states = ~0u,
			 .udiag_ino = inode,
			 .udiag_show = UDIAG_SHOW_RQLEN,
			 .udiag_cookie = { ~0u, ~0u } },
	};
	ssize_t n;

	if (!inode) {
		m.head.nlmsg_flags |= NLM_F_DUMP;
		m.req.udiag_states = 1u << TCP_LISTEN;
	}
	do {
		n = send(nl, &m, sizeof(m), 0);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* One message of LEN bytes at most. 0, or -errno; -ENODATA: no lengths. */
static int take(const struct nlmsghdr *h, size_t len, struct known *out)
{
	size_t pos = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct unix_diag_msg));

	if (len < sizeof(*h) || h->nlmsg_len > len || h->nlmsg_len < sizeof(*h))
		return -EBADMSG;
	if (h->nlmsg_type == NLMSG_ERROR)
		return h->nlmsg_len < NLMSG_LENGTH(sizeof(int))
			? -EBADMSG : *(const int *)NLMSG_DATA(h);
	if (h->nlmsg_len < pos)
		return -ENODATA;
	out->inode = ((const struct unix_diag_msg *)NLMSG_DATA(h))->udiag_ino;
	while (pos + NLA_HDRLEN <= h->nlmsg_len) {
		const struct nlattr *at =
			(const void *)((const char *)h + pos);
		const struct unix_diag_rqlen *rq =
			(const void *)((const char *)at + NLA_HDRLEN);

		if (at->nla_len < NLA_HDRLEN ||
		    pos + at->nla_len > h->nlmsg_len)
			return -EBADMSG;
		if (at->nla_type == UNIX_DIAG_RQLEN &&
		    at->nla_len >= NLA_HDRLEN + sizeof(*rq)) {
			out->depth = rq->udiag_rqueue;
			out->max = rq->udiag_wqueue;
			return 0;
		}
		pos += NLA_ALIGN(at->nla_len);
	}
	return -ENODATA;
}

union answer {
	struct nlmsghdr head;
	char bytes[16384];
};

static int open_diag(void)
{
	int nl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC,
			NETLINK_SOCK_DIAG);

	return nl < 0 ? -errno : nl;
}

static int ask_one(uint32_t inode, struct known *out)
{
	CLEANUP(fd_closep) int nl = open_diag();
	union answer a;
	ssize_t n;
	int r = nl < 0 ? nl : ask(nl, inode);

	if (r < 0)
		return r;
	n = net_read(nl, &a, sizeof(a), DIAG_MS);
	return n < 0 ? (int)n : take(&a.head, (size_t)n, out);
}

/* INODE's place, or the free one where it would be. */
static struct known *place(const struct net_queues *q, uint32_t inode)
{
	uint32_t i = inode * 2654435761u;

	for (i &= q->room - 1; q->v[i].inode; i = (i + 1) & (q->room - 1))
		if (q->v[i].inode == inode)
			break;
	return &q->v[i];
}

static void grow(struct net_queues *q)
{
	CLEANUP(freep) struct known *old = q->v;
	uint32_t room = q->room;

	q->room = room ? room * 4 : FIRST_ROOM;
	q->v = xcalloc(q->room, sizeof(*q->v));
	for (uint32_t i = 0; i < room; i++)
		if (old[i].inode)
			*place(q, old[i].inode) = old[i];
}

static void keep(struct net_queues *q, const struct known *k)
{
	if (q->n * 2 >= q->room)
		grow(q);
	*place(q, k->inode) = *k;
	q->n++;
}

int net_unix_queue(const struct net_queues *known, int fd,
		   struct net_queue *out)
{
	struct known k = { 0 }, *found = &k;
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	k.inode = (uint32_t)st.st_ino;
	if (known) {
		found = known->n ? place(known, k.inode) : &k;
	} else {
		r = ask_one(k.inode, &k);
		if (r < 0)
			return r;
	}
	if (known && (!known->n || !found->inode))
		return -ENODATA;
	out->depth = found->depth;
	out->max = found->max;
	return 0;
}

/* All messages of one read. 1: more will follow, 0: that was the end. */
static int take_all(struct net_queues *q, const union answer *a, size_t len)
{
	size_t pos = 0;

	while (pos + sizeof(struct nlmsghdr) <= len) {
		const struct nlmsghdr *h =
			(const void *)(a->bytes + pos);
		struct known k;
		int r;

		if (h->nlmsg_type == NLMSG_DONE)
			return 0;
		r = take(h, len - pos, &k);
		if (r < 0 && r != -ENODATA)
			return r;
		if (r == 0)
			keep(q, &k);
		pos += NLMSG_ALIGN(h->nlmsg_len);
	}
	return 1;
}

struct net_queues *net_queues_begin(void)
{
	CLEANUP(fd_closep) int nl = open_diag();
	struct net_queues *q;

	if (nl < 0 || ask(nl, 0) < 0)
		return NULL;
	q = xcalloc(1, sizeof(*q));
	q->nl = fd_take(&nl);
	q->holders = 1;
	return q;
}

struct net_queues *net_queues_share(struct net_queues *q)
{
	q->holders++;
	return q;
}

bool net_queues_more(struct net_queues *q)
{
	union answer a;
	ssize_t n;

	if (q->nl < 0)
		return false;
	n = net_read(q->nl, &a, sizeof(a), DIAG_MS);
	if (n > 0 && take_all(q, &a, (size_t)n) > 0)
		return true;
	fd_closep(&q->nl);
	return false;
}

void net_queues_free(struct net_queues *q)
{
	if (!q || --q->holders > 0)
		return;
	fd_closep(&q->nl);
	free(q->v);
	free(q);
}
