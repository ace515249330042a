/*
 * serve - the commands that are the daemon: serve, demo, run.
 */
#ifndef USHER_SERVE_H
#define USHER_SERVE_H

/* ARGV[0] is the command's word. Each returns the exit status. */
int cmd_serve(int argc, char **argv);
int cmd_demo(int argc, char **argv);
int cmd_run(int argc, char **argv);
/* A process of `relay_workers`: started by the daemon alone. */
int cmd_relay_worker(int argc, char **argv);

/* Where the control socket is unless the file says so: "/run/usher" or the
 * user's own place. Allocated. */
char *serve_runtime(void);

#endif
