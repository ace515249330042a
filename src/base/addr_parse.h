/*
 * addr_parse - what the files of addr share among themselves.
 */
#ifndef USHER_BASE_ADDR_PARSE_H
#define USHER_BASE_ADDR_PARSE_H

#include "base/addr.h"

/* Puts the allocated TEXT in *WHY; -EINVAL. */
int addr_wrong(char **why, char *text);

/* Is S what FDNAME of sd_notify(3) takes: no colon, no control character, at
 * most 255 bytes? */
bool addr_fd_name(const char *s);

/* All unset. */
void addr_options_init(struct addr_options *o);

/* N words option=value into A->opt; A's kind, family and path are known.
 * 0, or -EINVAL and *WHY. */
int addr_options_parse(struct addr *a, char *const *v, size_t n, char **why);

#endif
