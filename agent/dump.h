/* Dump: profiles as plain files, when the program ends or when a signal says so; and the signal
 * that switches the CPU recorder on and off. Works without a tree. An end that nobody is told of is
 * the heir's (heir.h).
 *
 *   the program's thread: handler --counts, wakes--> our thread "proffs/dump": writes, switches
 *
 * The handler goes where the program left the signal at SIG_DFL, before main(); what the program
 * installs later takes its place.
 */
#pragma once
#include "agent/option.h"

/* From normal code, before the thread: the handlers, for the signals that are free. */
void pf_dump_catch_signals(const struct pf_option *option);

/* Starts the thread that the handlers wake, if there is any: 0 or -errno. Our first thread. */
int pf_dump_start(const struct pf_option *option);
/* Ends it. Then writes what is to be written at the end, and dismisses the heir. Our first thread. */
void pf_dump_finish(const struct pf_option *option);

/* "proffs: DIR: why not all was written at the end", or NULL. After pf_dump_finish(). */
const char *pf_dump_complaint(void);

/* In the child after fork: signals as they were; what has no %p in its place is the parent's. */
void pf_dump_fork_child(struct pf_option *option);
