/*
 * dialect_wait - inetd's wait: the program is the door's until it ends.
 *
 * The socket itself, listening or datagram, is its descriptors 0, 1 and 2
 * (inetd(8)); what it writes to standard error goes where its standard output
 * goes, so nothing of it is logged.
 */
#include "work/dialect.h"

#include "work/pool.h"

static int prepare(struct generation *g, struct worker *w, struct launch *l)
{
	int fd = dialect_door(g);

	(void)w;
	if (fd < 0)
		return fd;
	for (int to = 0; to <= 2; to++)
		launch_fd(l, fd, to);
	return 0;
}

const struct dialect dialect_wait = {
	.protocol = PROTOCOL_WAIT,
	.name = "wait",
	.wait = true,
	.prepare = prepare,
};
