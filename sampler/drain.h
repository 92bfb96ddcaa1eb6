/* Drainer: the thread `proffs/drain`, which carries samples from the ring to whoever collects.
 *
 * Wakes ten times a second while something samples; sleeps for ever while nothing does.
 */
#pragma once

/* By a member of the crew. 0 or -errno; -EALREADY when it runs. */
int pf_drain_start(void);
/* Ends it, waiting at most a second. */
void pf_drain_stop(void);

/* Look again whether something samples. Any thread. */
void pf_drain_wake(void);

/* In the child after fork: it does not exist here. PF_SIGSAFE. */
void pf_drain_fork_child(void);
