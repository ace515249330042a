/*
 * fault - places where a debug build can be killed (USHER_CRASH_AT=name).
 *
 * Once in the life of a state: the process that goes on does not die there
 * again, save by USHER_CRASH_ALWAYS=name. Release builds have none of it.
 */
#ifndef USHER_BASE_FAULT_H
#define USHER_BASE_FAULT_H

#ifdef USHER_DEBUG
/* Kills this process by SIGKILL when NAME is the one asked for; with NAME@N
 * the Nth time that it comes by. */
void fault_point(const char *name);
#define FAULT(name) fault_point(name)
#else
#define FAULT(name) ((void)0)
#endif

#endif
