/*
 * manager - what is told to the service manager that started us (sd_notify(3)).
 *
 * Without one, or built without libsystemd, each does nothing.
 */
#ifndef USHER_MANAGER_H
#define USHER_MANAGER_H

#include "base/loop.h"
#include "base/mem.h"

/* Takes NOTIFY_SOCKET and WATCHDOG_* out of the environment. */
void manager_open(void);
void manager_ready(void);
void manager_reloading(void);
void manager_stopping(void);
void manager_status(const char *fmt, ...) PRINTF(1, 2);
/* Says at half the interval that wants it that we live. */
void manager_watchdog(struct loop *l);

#endif
