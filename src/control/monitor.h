/*
 * monitor - the event stream: log lines and changes of state, to whoever
 * asked for them.
 *
 * A client that does not read is told how many events it missed, once it
 * reads again; one that goes on so is dropped (control/server's patience).
 */
#ifndef USHER_CONTROL_MONITOR_H
#define USHER_CONTROL_MONITOR_H

struct control;
struct monitor;

struct monitor *monitor_open(struct control *c);
void monitor_close(struct monitor *m);

#endif
