/*
 * trigger - usher trigger: "run this now", at an endpoint of any kind.
 */
#ifndef USHER_CLIENT_TRIGGER_H
#define USHER_CLIENT_TRIGGER_H

/* ARGV[0] is the command's word. Exit status: 0 done, 1 failed, 2 usage. */
int cmd_trigger(int argc, char **argv);

#endif
