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
	static unsigned passed;
	const char *always = getenv("USHER_CRASH_ALWAYS");
	const char *at = getenv("USHER_CRASH_AT");
	size_t n = at ? strcspn(at, "@") : 0;

	if (always && strcmp(always, name) == 0)
		raise(SIGKILL);
	if (!at || strncmp(at, name, n) || name[n] || !record_globals() ||
	    record_globals()->faulted ||
	    (at[n] && ++passed < strtoul(at + n + 1, NULL, 10)))
		return;
	record_globals()->faulted = 1;
	raise(SIGKILL);
}
#endif
