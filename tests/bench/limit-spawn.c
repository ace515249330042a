/*
 * limit-spawn - accept, vfork and exec a program for each connection, which
 * it has as descriptors 0 and 1.
 *
 * -f forks instead, -m SIZE makes this process so large first, and writes to
 * each of its pages: fork copies their table, vfork does not.
 */
#include "bench.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void grow(size_t size)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	madvise(p, size, MADV_NOHUGEPAGE);
	memset(p, 1, size);
}

/* In the child; with vfork that is the parent's memory. */
static void become(int fd, char **argv)
{
	static char *none[] = {NULL};

	dup2(fd, 0);
	dup2(fd, 1);
	execve(argv[0], argv, none);
	_exit(127);
}

static void serve(int listener, bool use_fork, char **argv)
{
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0) {
			if ((use_fork ? fork() : vfork()) == 0)
				become(fd, argv);
			close(fd);
		}
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}

int main(int argc, char **argv)
{
	const char *address = NULL;
	bool use_fork = false;
	int option, fd;

	while ((option = getopt(argc, argv, "+a:m:f")) != -1) {
		if (option == 'a')
			address = optarg;
		else if (option == 'm')
			grow(number(optarg));
		else if (option == 'f')
			use_fork = true;
		else
			die("limit-spawn -a ADDRESS [-f] [-m SIZE] PROGRAM");
	}
	errno = 0;
	if (optind == argc)
		die("limit-spawn: which program?");
	fd = door(address, 0);
	serve(fd, use_fork, argv + optind);
}
