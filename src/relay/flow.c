/*
 * flow - bytes of one direction: by read and write, by splice once it pays.
 *
 * A short read means that the socket is empty: with edge-triggered events no
 * second read is needed to hear EAGAIN, unless its end was told of, which
 * epoll says once. A direction that fills its buffer goes on by splice, and
 * comes back when little is left to carry. The counts in the record are set
 * after each system call: who takes over a killed usher's state finds out
 * what the last one did (recount.c).
 */
#include "relay/relays.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"

/* A turn's most; then the others have theirs. Bulk of a few takes short turns,
 * both directions by turns: bytes and their answers are still warm. So many of
 * them before the loop looks for others, which costs 5 us. Of many, a stream
 * that is emptied in one turn costs half of one that is left half full. */
#define COPY_TURN   (8 * RECORD_BUFFER)
#define BULK_CHUNK  (256 * 1024)
#define BULK_FEW    4
#define FEW_TURNS   8
#define BULK_LONG   (3 * 1024 * 1024)
/* After so many turns of bulk in a row that moved less: back to read and
 * write. One alone says little: a pipe that was emptied moves nothing. */
#define BULK_LITTLE RECORD_BUFFER
#define BULK_TURNS  8

struct ends {
	int from, to, to_side;
	bool packets;		/* messages: one read, one write */
	bool ending;		/* FROM told of its end */
	bool other_shut;	/* the other direction is done */
};

static int side_kind(const struct relay *r, int side)
{
	return r->kinds >> (side * SIDE_BITS) & ((1 << SIDE_BITS) - 1);
}

static struct ends ends_of(const struct relay *r, int k)
{
	const struct record *rec = record_at(r->record);
	int to = rec->arg == RELAY_ECHO ? k : 1 - k;

	return (struct ends){
		.from = rec->fd[k],
		.to = rec->fd[to],
		.to_side = to,
		.packets = side_kind(r, k) & SIDE_PACKETS,
		.ending = r->ending >> k & 1,
		.other_shut = relay_data(r)->flow[1 - k].flags & FLOW_SHUT,
	};
}

/* Both sides carry bytes, and a pipe may lie between them. Splice waits where
 * somebody else has made a socket blocking; recv and send need not. */
static bool can_splice(const struct relay *r)
{
	return !(relay_data(r)->flags & RELAY_SHARED) &&
	       !((side_kind(r, 0) | side_kind(r, 1)) & SIDE_PACKETS);
}

/* `survive = crash`: nothing of a side whose bytes nobody counts may ever
 * lie in our memory. */
static bool must_splice(const struct relay *r)
{
	return r->home->service->conf->survive == SURVIVE_CRASH &&
	       can_splice(r) &&
	       !(side_kind(r, 0) & side_kind(r, 1) & SIDE_TCP);
}

void flow_begin(struct relay *r)
{
	if (!must_splice(r))
		return;
	for (int k = 0; k < 2; k++)
		relay_data(r)->flow[k].flags |= FLOW_BULK;
}

/* The end is passed on. When it is the second one, closing does it. */
static enum flow_end finish(struct flow *f, const struct ends *e)
{
	if (!e->other_shut)
		shutdown(e->to, SHUT_WR);
	f->flags |= FLOW_SHUT;
	return FLOW_DONE;
}

/* ---- read and write ---- */

static void release(struct flow *f)
{
	int buffer = f->buffer;

	f->buffer = -1;
	record_buffer_end(buffer);
}

/* FLOW_MORE: all was written. */
static enum flow_end write_rest(struct flow *f, const struct ends *e)
{
	while (f->rd > f->wr) {
		const char *p = record_buffer(f->buffer) + (f->wr - f->start);
		ssize_t n = send(e->to, p, f->rd - f->wr,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? FLOW_WAITS : FLOW_BROKEN;
		FAULT("relay-sent");
		f->wr += (uint64_t)n;
		if (f->rd > f->wr && !e->packets)
			return FLOW_WAITS;
	}
	return FLOW_MORE;
}

/* All that was in it is written: the next bytes stand at its beginning. */
static int hold_buffer(struct flow *f)
{
	int n = f->buffer < 0 ? record_buffer_new() : f->buffer;

	if (n < 0)
		return n;
	f->start = f->rd;
	f->buffer = n;
	return 0;
}

static ssize_t read_some(struct flow *f, const struct ends *e)
{
	ssize_t n;

	do
		n = recv(e->from, record_buffer(f->buffer), RECORD_BUFFER,
			 MSG_DONTWAIT | (e->packets ? MSG_TRUNC : 0));
	while (n < 0 && errno == EINTR);
	if (n > RECORD_BUFFER) {
		errno = EMSGSIZE;
		return -1;
	}
	FAULT("relay-read");
	if (n > 0)
		f->rd += (uint64_t)n;
	else if (n == 0)
		f->flags |= FLOW_EOF;
	return n;
}

static enum flow_end copy(struct relay *r, int k)
{
	struct flow *f = &relay_data(r)->flow[k];
	const struct ends e = ends_of(r, k);
	enum flow_end end = FLOW_MORE;
	size_t moved = 0;
	ssize_t n;

	for (;;) {
		if (f->rd > f->wr) {
			end = write_rest(f, &e);
			if (end != FLOW_MORE)
				return end;
		}
		if (f->flags & FLOW_EOF) {
			end = finish(f, &e);
			break;
		}
		if ((f->flags & FLOW_BULK) || moved >= COPY_TURN)
			break;
		if (hold_buffer(f) < 0)
			return FLOW_STARVED;
		n = read_some(f, &e);
		if (n < 0) {
			end = errno == EAGAIN ? FLOW_WAITS : FLOW_BROKEN;
			break;
		}
		moved += (size_t)n;
		if (n == RECORD_BUFFER && can_splice(r)) {
			f->flags |= FLOW_BULK;
		} else if (n > 0 && n < RECORD_BUFFER && !e.packets &&
			   !e.ending) {
			end = write_rest(f, &e);
			if (end != FLOW_MORE)
				return end;
			end = FLOW_WAITS;
			break;
		}
	}
	if (f->buffer >= 0)
		release(f);
	return end;
}

/* ---- splice ---- */

static ssize_t splice_some(int from, int to, size_t most, unsigned flags)
{
	ssize_t n;

	do
		n = splice(from, NULL, to, NULL, most,
			   SPLICE_F_NONBLOCK | SPLICE_F_MOVE | flags);
	while (n < 0 && errno == EINTR);
	return n;
}

/* Of a full chunk TCP keeps what fills no segment, since the next follows: a
 * small one costs as much as a full one. When none does it is told to go. */
static void send_kept(struct relay *r, int k, int to)
{
	const int off = 0;

	if (!(r->kept >> k & 1))
		return;
	r->kept &= (uint8_t)~(1u << k);
	setsockopt(to, IPPROTO_TCP, TCP_CORK, &off, sizeof(off));
}

/* What is in the pipe. FLOW_MORE: all was written. */
static enum flow_end empty_pipe(struct relay *r, int k, int pipe,
				const struct ends *e, bool full)
{
	struct flow *f = &relay_data(r)->flow[k];
	bool keep = full && side_kind(r, e->to_side) & SIDE_TCP;

	while (f->rd > f->wr) {
		ssize_t n = splice_some(pipe, e->to, f->rd - f->wr,
					keep ? SPLICE_F_MORE : 0);

		if (n <= 0)
			return n < 0 && errno == EAGAIN ? FLOW_WAITS
							: FLOW_BROKEN;
		f->wr += (uint64_t)n;
		r->kept = (uint8_t)((r->kept & ~(1u << k)) |
				    (unsigned)keep << k);
	}
	return FLOW_MORE;
}

int flow_turns(const struct relay *r)
{
	return r->home->n < BULK_FEW ? FEW_TURNS : 1;
}

static size_t bulk_turn(const struct relay *r)
{
	return r->home->n < BULK_FEW ? BULK_CHUNK : BULK_LONG;
}

static enum flow_end bulk(struct relay *r, int k)
{
	struct flow *f = &relay_data(r)->flow[k];
	const struct ends e = ends_of(r, k);
	const int *fd = &record_at(r->record)->fd[2 + 2 * k];
	enum flow_end end;
	size_t moved = 0;
	ssize_t n = 0;

	if (fd[0] < 0 && pipe_take(r, k) < 0) {
		if (must_splice(r))
			return FLOW_STARVED;
		f->flags &= ~(uint32_t)FLOW_BULK;
		return FLOW_MORE;
	}
	for (;;) {
		end = empty_pipe(r, k, fd[0], &e, n == BULK_CHUNK);
		if (end != FLOW_MORE)
			return end;
		if (f->flags & FLOW_EOF) {
			end = finish(f, &e);
			break;
		}
		if (moved >= bulk_turn(r)) {
			end = FLOW_MORE;
			break;
		}
		n = splice_some(e.from, fd[1], BULK_CHUNK, 0);
		if (n < 0) {
			end = errno == EAGAIN ? FLOW_WAITS : FLOW_BROKEN;
			break;
		}
		if (n == 0)
			f->flags |= FLOW_EOF;
		f->rd += (uint64_t)n;
		moved += (size_t)n;
	}
	if (end == FLOW_WAITS)
		send_kept(r, k, e.to);
	r->little[k] = moved < BULK_LITTLE ? (r->little[k] + 1) & 127 : 0;
	if (end == FLOW_WAITS && r->little[k] >= BULK_TURNS &&
	    !must_splice(r)) {
		r->little[k] = 0;
		f->flags &= ~(uint32_t)FLOW_BULK;
	}
	if (end != FLOW_BROKEN)
		pipe_give(r, k, true);
	return end;
}

enum flow_end flow_pump(struct relay *r, int k)
{
	struct flow *f = &relay_data(r)->flow[k];
	uint64_t *sum = k ? &r->home->service->data->bytes_down
			  : &r->home->service->data->bytes_up;
	uint64_t before = f->wr;
	enum flow_end end = FLOW_MORE;

	if (f->flags & FLOW_SHUT)
		return FLOW_DONE;
	/* What lies in a buffer goes first, whatever comes next. */
	if (!(f->flags & FLOW_BULK) || f->buffer >= 0)
		end = copy(r, k);
	if (end == FLOW_MORE && (f->flags & FLOW_BULK))
		end = bulk(r, k);
	*sum += f->wr - before;
	return end;
}

void flow_end(struct relay *r, int k)
{
	struct flow *f = &relay_data(r)->flow[k];

	if (f->buffer >= 0)
		release(f);
	pipe_give(r, k, false);
}
