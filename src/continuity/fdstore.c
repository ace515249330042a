/*
 * fdstore - what systemd holds for us; see fdstore.h.
 *
 * FDPOLL=0: systemd drops stored descriptors that show an error or a hang-up
 * otherwise, and some of ours always do.
 */
#include "continuity/fdstore.h"

#include "base/record.h"

#ifdef HAVE_SYSTEMD
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/fd.h"

#define BARRIER_US 1000000

static bool managed(void)
{
	return getenv("NOTIFY_SOCKET") && sd_booted() > 0;
}

static void store(const char *text, int fd)
{
	sd_pid_notify_with_fds(0, 0, text, &fd, 1);
}

void fdstore_keep(void)
{
	struct pollfd p = { ROLE_CHANNEL, POLLIN, 0 };
	int pair[2], big = 1 << 20;

	if (!managed() || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC,
				     0, pair) < 0)
		return;
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &big, sizeof(big));
	store("FDSTORE=1\nFDPOLL=0\nFDNAME=usher-channel", pair[1]);
	store("FDSTORE=1\nFDPOLL=0\nFDNAME=usher-state", ROLE_STATE);
	sd_notify_barrier(0, BARRIER_US);
	close(pair[1]);
	record_role(pair[0], ROLE_CHANNEL);
	/* Nobody but the store could have the other end now. */
	record_globals()->stored = poll(&p, 1, 0) == 0;
}

void fdstore_image(int image)
{
	if (!record_globals()->stored)
		return;
	store("FDSTORE=1\nFDPOLL=0\nFDNAME=usher-image", ROLE_IMAGE0 + image);
	sd_notify_barrier(0, BARRIER_US);
}

void fdstore_image_end(void)
{
	if (record_globals()->stored)
		sd_notify(0, "FDSTOREREMOVE=1\nFDNAME=usher-image");
}

void fdstore_forget(void)
{
	if (!record_globals()->stored)
		return;
	sd_notify(0, "FDSTOREREMOVE=1\nFDNAME=usher-channel");
	sd_notify(0, "FDSTOREREMOVE=1\nFDNAME=usher-state");
	fdstore_image_end();
	record_globals()->stored = 0;
}
#else
void fdstore_keep(void)
{
}

void fdstore_image(int image)
{
	(void)image;
}

void fdstore_image_end(void)
{
}

void fdstore_forget(void)
{
}
#endif
