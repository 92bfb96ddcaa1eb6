/* Agent: the life of proffs in one process.
 *
 *   stopped --start--> starting --tree mounted--> running --stop, exit, unmount--> stopped
 *                          \--no tree--> failed (why) --> stopped
 *
 * All work is done by our own first thread, in its private descriptor table; the program's thread
 * that started it returns at once (preload) or sleeps on the state word (library).
 */
#pragma once
#include "agent/option.h"

#include <stdint.h>

/* Starts the thread: 0, -EALREADY, -errno. */
int pf_agent_start(const struct pf_option *option);

/* Waits until our first thread, if it was just started, has its own descriptors and working directory, and
 * malloc's room for itself: not for ever, since it may wait for a lock of the loader's that the caller holds. */
void pf_agent_wait_set_out(int64_t patience_ns);

/* Before main(), after pf_agent_start(): opens what our threads would open while the program maps memory,
 * and waits as above, 100 ms at the most. What we cannot place ourselves (base/place.h) lies then where no hole
 * of the program's can be. */
void pf_agent_move_in(const struct pf_option *option);

/* Sleeps until the tree can be read: 0, or why it can't: -errno. */
int pf_agent_wait_ready(void);

/* Ends it and waits, a second at the most: 0, -EALREADY (it does not run), -ETIMEDOUT. */
int pf_agent_stop(void);

/* Is this the process that it was started in, and no child by vfork or a bare clone? */
bool pf_agent_is_here(void);

/* The same for whoever needs a process without threads of ours, and however they came to end: waits longer, if
 * it must. True: pf_agent_again() is for the caller to call. `gone`: are they? */
bool pf_agent_step_aside(bool *gone);

/* As it was, after pf_agent_stop(): with the settings and the collectors it was started with.
 * Returns at once; does nothing while it runs. */
void pf_agent_again(void);

/* Where the tree is; NULL unless running. Lives for ever. */
const char *pf_agent_path(void);
