/*
 * dialect_fastcgi - a listening socket as standard input (FastCGI 1.0, 2.2).
 *
 * The specification closes 1 and 2; here they go where the service's output
 * goes, which is what spawn-fcgi and every library can live with.
 */
#include "work/dialect.h"

#include "work/pool.h"

static int prepare(struct generation *g, struct worker *w, struct launch *l)
{
	int fd = dialect_door(g);

	(void)w;
	if (fd < 0)
		return fd;
	launch_fd(l, fd, 0);
	return 0;
}

const struct dialect dialect_fastcgi = {
	.protocol = PROTOCOL_FASTCGI,
	.name = "fastcgi",
	.prepare = prepare,
};
