/*
 * recount - what was in flight when usher was killed.
 *
 * The record's counts are set after each system call, so the last call of a
 * killed usher may not be counted: bytes that TCP handed out lie in the buffer
 * beyond rd, bytes that it took are still said to wait. TCP itself counts
 * (TCP_INFO): received less what waits to be read (SIOCINQ), acknowledged plus
 * what waits to be sent (SIOCOUTQ). A SYN of ours and FINs count as a byte
 * each there (linux/tcp.h, net/ipv4/tcp.c). What lies in a pipe is asked of
 * the pipe. Other sockets don't count: with a buffer in use there, bytes may
 * be missing or come twice.
 */
#include "relay/relays.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <string.h>
#include <sys/ioctl.h>

/* linux/tcp_states.h, which is the kernel's own header. */
enum {
	FIN_WAIT1 = 4, FIN_WAIT2 = 5, TIME_WAIT = 6, CLOSED = 7,
	CLOSE_WAIT = 8, LAST_ACK = 9, CLOSING = 11,
};

#define GOT_FIN  (1u << TIME_WAIT | 1u << CLOSED | 1u << CLOSE_WAIT | \
		  1u << LAST_ACK | 1u << CLOSING)
#define SENT_FIN (1u << FIN_WAIT1 | 1u << FIN_WAIT2 | 1u << TIME_WAIT | \
		  1u << CLOSED | 1u << LAST_ACK | 1u << CLOSING)

/* Received and sent bytes as TCP sees them; DIALED: we connected. */
static int tcp_counts(int fd, bool dialed, int64_t *in, int64_t *out)
{
	struct tcp_info t = { 0 };
	socklen_t len = sizeof(t);
	int inq[2], outq[2];
	unsigned state;

	/* Again when something moved between the answers. */
	for (int tries = 0;; tries++) {
		if (ioctl(fd, SIOCINQ, &inq[0]) < 0 ||
		    ioctl(fd, SIOCOUTQ, &outq[0]) < 0 ||
		    getsockopt(fd, IPPROTO_TCP, TCP_INFO, &t, &len) < 0 ||
		    ioctl(fd, SIOCINQ, &inq[1]) < 0 ||
		    ioctl(fd, SIOCOUTQ, &outq[1]) < 0)
			return -errno;
		if ((inq[0] == inq[1] && outq[0] == outq[1]) || tries > 100)
			break;
	}
	state = 1u << t.tcpi_state;
	*in = (int64_t)t.tcpi_bytes_received - inq[0] -
	      ((state & GOT_FIN) != 0);
	*out = (int64_t)t.tcpi_bytes_acked + outq[0] - dialed -
	       ((state & SENT_FIN) != 0);
	return 0;
}

static bool is_tcp(const struct relay *r, int side)
{
	return r->kinds >> (side * SIDE_BITS) & SIDE_TCP;
}

void relay_count_from(struct relay *r)
{
	struct relay_data *d = relay_data(r);
	int64_t in, out;

	if (!is_tcp(r, 0) ||
	    tcp_counts(record_at(r->record)->fd[0], false, &in, &out) < 0)
		return;
	d->in = in;
	d->out = out;
}

/* What TCP says is taken over where it fits; a count behind ours can only be
 * a socket that was closed meanwhile, whose numbers mean nothing. */
static void correct(struct flow *f, bool in_known, int64_t in, bool out_known,
		    int64_t out)
{
	if (in_known && f->buffer >= 0 && in > (int64_t)f->rd &&
	    in - (int64_t)f->start <= RECORD_BUFFER)
		f->rd = (uint64_t)in;
	if (out_known && out > (int64_t)f->wr && out <= (int64_t)f->rd)
		f->wr = (uint64_t)out;
}

/* Splice's counts are what the kernel holds. */
static void correct_pipe(struct flow *f, int pipe, bool out_known, int64_t out)
{
	int in_pipe = 0;

	if (ioctl(pipe, FIONREAD, &in_pipe) < 0)
		return;
	if (out_known && out > (int64_t)f->wr)
		f->wr = (uint64_t)out;
	f->rd = f->wr + (uint64_t)in_pipe;
}

static int recount_flow(struct relay *r, int k, const bool *known,
			const int64_t *in, const int64_t *out)
{
	struct flow *f = &relay_data(r)->flow[k];
	const int *pipe = &record_at(r->record)->fd[2 + 2 * k];
	int to = record_at(r->record)->arg == RELAY_ECHO ? k : 1 - k;

	if (pipe[0] >= 0 && f->buffer < 0) {
		correct_pipe(f, pipe[0], known[to], out[to]);
		return 0;
	}
	if (f->buffer >= 0 && !(known[k] && known[to]))
		return -EIO;
	correct(f, known[k], in[k], known[to], out[to]);
	if (f->buffer < 0)
		f->rd = f->wr;
	return 0;
}

int relay_recount(struct relay *r)
{
	const struct relay_data *d = relay_data(r);
	const int *fd = record_at(r->record)->fd;
	int64_t in[2] = { 0 }, out[2] = { 0 };
	bool known[2] = { false };
	int bad = 0;

	if (record_was_clean())
		return 0;
	for (int side = 0; side < 2; side++)
		known[side] = fd[side] >= 0 && is_tcp(r, side) &&
			      tcp_counts(fd[side], side == 1, &in[side],
					 &out[side]) == 0;
	in[0] -= d->in;
	out[0] -= d->out;
	for (int k = 0; k < 2; k++)
		if (recount_flow(r, k, known, in, out) < 0)
			bad = -EIO;
	return bad;
}
