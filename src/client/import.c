/*
 * import - other programs' configurations become sections of ours.
 *
 * Sections go to standard output, what they could not express to standard
 * error and into comments beside. Nothing is written to any file.
 */
#include "client/import.h"

#include <stdio.h>
#include <string.h>

#include "conf/import.h"

static const char usage[] =
	"usage: usher import inetd|xinetd|systemd|master.cf FILE...\n";

static const char help[] =
	"\n"
	"Writes sections that give the same service to standard output, and\n"
	"lists on standard error, and as comments, each line that they could\n"
	"not express.\n"
	"\n"
	"  inetd      inetd.conf\n"
	"  xinetd     xinetd.conf (with what it includes), files of xinetd.d\n"
	"  systemd    .socket units, each read with its .service\n"
	"  master.cf  Postfix's, main.cf is read beside it\n"
	"\n"
	"  usher import inetd /etc/inetd.conf >/etc/usher/conf.d/inetd.ini\n";

static const struct {
	const char *word;
	int (*fn)(struct import *im, const char *file);
} formats[] = {
	{ "inetd", import_inetd },
	{ "xinetd", import_xinetd },
	{ "systemd", import_systemd },
	{ "master.cf", import_master_cf },
};

static int wrong(const char *what, const char *word)
{
	fprintf(stderr, "usher import: %s%s\n%s", what, word, usage);
	return 2;
}

static void result(const struct import *im)
{
	fprintf(stderr, "%u service%s", im->sections,
		im->sections == 1 ? "" : "s");
	if (im->missed)
		fprintf(stderr, ", %u line%s not wholly expressed",
			im->missed, im->missed == 1 ? "" : "s");
	fputc('\n', stderr);
}

int cmd_import(int argc, char **argv)
{
	struct import im = { .out = stdout, .err = stderr };
	int status = 0;
	size_t k = 0;

	if (argc > 1 && (strcmp(argv[1], "--help") == 0 ||
			 strcmp(argv[1], "-h") == 0)) {
		printf("%s%s", usage, help);
		return 0;
	}
	if (argc < 3)
		return wrong("what, and from which files?", "");
	while (k < ARRAY_SIZE(formats) && strcmp(formats[k].word, argv[1]) != 0)
		k++;
	if (k == ARRAY_SIZE(formats))
		return wrong("not a format: ", argv[1]);
	for (int i = 2; i < argc; i++) {
		int r = formats[k].fn(&im, argv[i]);

		if (r < 0) {
			fprintf(stderr, "usher import: %s: %s\n", argv[i],
				strerror(-r));
			status = 1;
		}
	}
	import_finish(&im);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		perror("usher import: standard output");
		status = 1;
	}
	result(&im);
	return status;
}
