/*
 * connect - usher connect: standard input and output to an endpoint.
 */
#ifndef USHER_CLIENT_CONNECT_H
#define USHER_CLIENT_CONNECT_H

/* ARGV[0] is the command's word. Exit status: 0 done, 1 failed, 2 usage. */
int cmd_connect(int argc, char **argv);

#endif
