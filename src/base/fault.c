/*
 * fault - places where a debug build can be killed; see fault.h.
 */
#include "base/fault.h"

#ifdef USHER_DEBUG
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/record.h"

void fault_point(const char *name)
{
	const char *at = getenv("USHER_CRASH_AT");

	if (!at || strcmp(at, name) || !record_globals() ||
	    record_globals()->faulted)
		return;
	record_globals()->faulted = 1;
	raise(SIGKILL);
}
#endif
