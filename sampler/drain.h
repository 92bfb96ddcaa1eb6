/* Drainer: the thread `proffs/drain`, which carries CPU samples from the ring to whoever collects,
 * and takes the wall-clock ticks.
 *
 * Wakes when one of the two is due; sleeps for ever while nothing samples.
 */
#pragma once
#include <stdbool.h>

/* By a member of the crew. 0 or -errno; -EALREADY when it runs. */
int pf_drain_start(void);
/* Ends it, waiting at most a second. */
void pf_drain_stop(void);

/* Look again whether something samples. Any thread. */
void pf_drain_wake(void);

/* Is there one to wait for? */
bool pf_drain_is_running(void);

/* In the child after fork: it does not exist here. PF_SIGSAFE. */
void pf_drain_fork_child(void);
