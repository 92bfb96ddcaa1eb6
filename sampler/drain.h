/* Drainer: the thread `proffs/drain`, which carries CPU samples from the ring to whoever collects,
 * takes the wall-clock ticks, and looks for threads in futexes.
 *
 * Wakes when one of the three is due; sleeps for ever while nothing samples. What is due regularly is due at
 * the same moments in all processes (pf_clock_beat_after): a wake that comes alone costs twice as much.
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
