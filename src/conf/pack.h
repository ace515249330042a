/*
 * pack - a loaded configuration as one block: for a process of the same image
 * that needs it sooner than it could read its text and ask for the names of
 * users and hosts.
 *
 * The block is the structs themselves and all that they point to, with the
 * places of its pointers listed. Another build's is never to be unpacked: who
 * keeps one knows whose it is.
 */
#ifndef USHER_CONF_PACK_H
#define USHER_CONF_PACK_H

#include "conf/conf.h"

/* C as a block of *LEN bytes, allocated. */
void *conf_pack(const struct conf *c, size_t *len);

/*
 * BLOCK becomes a configuration: a mapping of LEN bytes that nobody else
 * writes to. It belongs to the configuration, and goes with its last
 * reference. NULL, and BLOCK is the caller's: it is no whole block.
 */
struct conf *conf_unpack(void *block, size_t len);

#endif
