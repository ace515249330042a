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

struct net_queues {
	struct known *v;	/* by inode */
	size_t n;
};

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

static int by_inode(const void *a, const void *b)
{
	uint32_t x = ((const struct known *)a)->inode;
	uint32_t y = ((const struct known *)b)->inode;

	return x < y ? -1 : x > y;
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
		found = bsearch(&k, known->v, known->n, sizeof(k), by_inode);
	} else {
		r = ask_one(k.inode, &k);
		if (r < 0)
			return r;
	}
	if (!found)
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
		if (r == 0) {
			/* By doubling: the room is the next power of two. */
			if ((q->n & (q->n - 1)) == 0)
				q->v = xrealloc(q->v, (q->n ? q->n * 2 : 1) *
							sizeof(*q->v));
			q->v[q->n++] = k;
		}
		pos += NLMSG_ALIGN(h->nlmsg_len);
	}
	return 1;
}

struct net_queues *net_queues_read(void)
{
	CLEANUP(fd_closep) int nl = open_diag();
	struct net_queues *q = xcalloc(1, sizeof(*q));
	int r = nl < 0 ? nl : ask(nl, 0);

	for (r = r < 0 ? r : 1; r > 0;) {
		union answer a;
		ssize_t n = net_read(nl, &a, sizeof(a), DIAG_MS);

		r = n <= 0 ? -EIO : take_all(q, &a, (size_t)n);
	}
	if (r < 0) {
		net_queues_free(q);
		return NULL;
	}
	if (q->n)
		qsort(q->v, q->n, sizeof(*q->v), by_inode);
	return q;
}

void net_queues_free(struct net_queues *q)
{
	if (!q)
		return;
	free(q->v);
	free(q);
}
