/*
 * lines - a setting as lines that conf/reader takes and joins again.
 */
#ifndef USHER_CONF_LINES_H
#define USHER_CONF_LINES_H

#include <stddef.h>

/*
 * "KEY = VALUE", each line with its end: a line of up to WIDTH bytes, or
 * longer where the value has no blank to break it at. Allocated. NULL: the
 * value can't be written so that it reads back.
 */
char *lines_of(const char *key, const char *value, size_t width);

#endif
