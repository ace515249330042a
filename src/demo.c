/*
 * demo - usher demo: a daemon with a built-in configuration on loopback.
 *
 * The text is etc/demo.ini, built in. Ports that are in use give way to the
 * next free ones. The worker and the program that a trigger runs are this
 * binary too (--worker, --run), so that the demo needs nothing else.
 */
#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "client/usage.h"
#include "daemon.h"
#include "demo_ini.h"
#include "serve.h"

#define FIRST_PORT 7007
#define LAST_PORT  7999

static const char help[] =
"usage: usher demo\n"
"\n"
"A daemon to play with, on loopback, with an echo service, four workers\n"
"behind a queue and a trigger. Prints what to paste into a second terminal.\n"
"Ctrl-C ends it.\n";

/* ---- the worker and the run ---- */

static int worker(void)
{
	int64_t door;
	char words[4096], hello[128];
	int fd, served = 0;

	if (text_number(getenv("USHER_FD") ?: "", 0, 65535, &door) < 0) {
		fputs("usher demo --worker is for usher demo alone\n",
		      stderr);
		return 2;
	}
	for (;;) {
		struct fd_message m = { .buf = words, .size = sizeof(words),
					.fds = &fd, .max = 1 };

		if (fd_receive((int)door, &m, 0) <= 0)
			return 0;
		snprintf(hello, sizeof(hello),
			 "hello from worker %d, its client number %d\n",
			 (int)getpid(), ++served);
		if (m.n == 1) {
			send(fd, hello, strlen(hello), MSG_NOSIGNAL);
			close(fd);
		}
	}
}

static int run(void)
{
	printf("run %s for: %s\n", getenv("USHER_TRIGGER_ID") ?: "?",
	       getenv("USHER_TRIGGER") ?: "");
	return 0;
}

/* ---- the daemon ---- */

static bool is_free(uint16_t port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	CLEANUP(fd_closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC,
					   0);
	int one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	return fd >= 0 && bind(fd, (void *)&sa, sizeof(sa)) == 0 &&
	       listen(fd, 1) == 0;
}

static uint16_t next_free(uint16_t from)
{
	uint16_t port = from;

	while (port < LAST_PORT && !is_free(port))
		port++;
	if (port != from)
		fprintf(stderr, "usher demo: port %u is in use, taking %u\n",
			from, port);
	return port;
}

static char *replace(char *text, const char *name, const char *value)
{
	char *at;

	while ((at = strstr(text, name))) {
		char *more = xasprintf("%.*s%s%s", (int)(at - text), text,
				       value, at + strlen(name));

		free(text);
		text = more;
	}
	return text;
}

static char *replace_port(char *text, const char *name, uint16_t port)
{
	char digits[8];

	snprintf(digits, sizeof(digits), "%u", port);
	return replace(text, name, digits);
}

static char *own_path(void)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n < 0)
		return xstrdup("/usr/bin/usher");
	path[n] = 0;
	return xstrdup(path);
}

/* The ports that hold: those of the words (an usher before this one took
 * them), else the first free ones. */
struct ports {
	unsigned echo, hello, trigger;
};

static struct ports find_ports(void)
{
	struct ports p;

	p.echo = next_free(FIRST_PORT);
	p.hello = next_free((uint16_t)(p.echo + 1));
	p.trigger = next_free((uint16_t)(p.hello + 1));
	return p;
}

/* FIFOs stay, for those who write before a service is there; a demo's not. */
static void remove_spool(const char *runtime)
{
	CLEANUP(freep) char *spool = xasprintf("%s/demo-spool", runtime);
	CLEANUP(freep) char *fifo = xasprintf("%s/reindex", spool);

	(void)unlink(fifo);
	(void)rmdir(spool);	/* when nothing else lies in it */
}

static int serve(const struct ports *p, bool carry)
{
	CLEANUP(freep) char *runtime = serve_runtime();
	CLEANUP(freep) char *usher = own_path();
	CLEANUP(freep) char *text = xstrdup(demo_ini);
	CLEANUP(freep) char *greeting = NULL;
	CLEANUP(freep) char *ports = xasprintf("--ports=%u,%u,%u", p->echo,
					       p->hello, p->trigger);
	char *words[] = { (char *)"demo", ports, NULL };
	struct daemon_options o = {
		.source = { .path = "demo.ini", .resolve = true },
		.argv = words,
		.carry = carry,
	};

	int status;

	text = replace(text, "@RUNTIME@", runtime);
	text = replace(text, "@USHER@", usher);
	text = replace_port(text, "@ECHO@", (uint16_t)p->echo);
	text = replace_port(text, "@HELLO@", (uint16_t)p->hello);
	text = replace_port(text, "@TRIGGER@", (uint16_t)p->trigger);
	greeting = xasprintf(
		"\nusher serves. Paste into a second terminal:\n\n"
		"  echo ahoy | %s connect tcp:127.0.0.1:%u\n"
		"  %s connect tcp:127.0.0.1:%u </dev/null\n"
		"  %s trigger tcp:127.0.0.1:%u books\n\n"
		"Then: %s --control %s/demo status; kill -9 a worker, or "
		"usher (pid %d), and look again. The usher that comes after "
		"a kill -9 runs in the background.\n"
		"To end it: %s --control %s/demo shutdown\n\n",
		usher, p->echo, usher, p->hello, usher, p->trigger, usher,
		runtime,
		(int)getpid(), usher, runtime);
	o.source.text = text;
	o.source.len = strlen(text);
	o.greeting = greeting;
	status = daemon_serve(&o);
	if (status == 0)	/* else another demo may have them */
		remove_spool(runtime);
	return status;
}

int cmd_demo(int argc, char **argv)
{
	static const struct option options[] = {
		{ "worker", no_argument, NULL, 'w' },
		{ "run", no_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{ "carry", no_argument, NULL, 'C' },
		{ "ports", required_argument, NULL, 'p' },
		{ NULL, 0, NULL, 0 },
	};
	struct ports ports = { 0 };
	bool carry = false;
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (c) {
		case 'w':
			return worker();
		case 'r':
			return run();
		case 'h':
			fputs(help, stdout);
			return 0;
		case 'C':
			carry = true;
			break;
		case 'p':
			if (sscanf(optarg, "%u,%u,%u", &ports.echo,
				   &ports.hello, &ports.trigger) == 3)
				break;
			return 2;
		default:
			return usage_option("demo", c, argv);
		}
	}
	if (optind < argc) {
		fprintf(stderr, "usher demo: '%s' is one word too many\n",
			argv[optind]);
		return 2;
	}
	if (!ports.echo)
		ports = find_ports();
	return serve(&ports, carry);
}
