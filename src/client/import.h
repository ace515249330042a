/*
 * import - usher import inetd|xinetd|systemd|master.cf FILE...
 */
#ifndef USHER_CLIENT_IMPORT_H
#define USHER_CLIENT_IMPORT_H

/* The command's words, argv[0] is "import". Returns the exit status: 0 all
 * files were read (what could not be expressed is listed on standard error),
 * 1 a file could not be read, 2 usage. */
int cmd_import(int argc, char **argv);

#endif
