/* Module watch: the thread `proffs/mod`, which notices that the program loaded or closed modules:
 * new ones get their slots patched, unwind rows of closed ones are forgotten.
 */
#pragma once

/* By a member of the crew. 0 or -errno; -EALREADY when it runs. */
int pf_module_watch_start(void);
/* Ends it, waiting at most a second. */
void pf_module_watch_stop(void);
/* In the child after fork: it does not exist here. */
void pf_module_watch_fork_child(void);
