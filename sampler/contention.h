/* Contention: who makes others wait (mutex), and who waits (block).
 *
 * From the front door down: contention.c (on, off, what a reader gets), wait_hook.c and
 * wait_io_hook.c (the program's calls), waiter.c (who waits for what, who is charged), wait_draw.c
 * (which are sampled), wait_site.c (the sums by stack), wait_poll.c (what no hook sees), blocked.c
 * (who waits right now).
 */
#pragma once
#include "base/profile.h"

#include <stdbool.h>

bool pf_mutex_enabled(void);
bool pf_block_enabled(void);
/* And does it count waits for other threads (config/block_kinds)? */
bool pf_block_watches_sync(void);

/* Idempotent. The sums go on from where they were, as Go's do. 0; -EOPNOTSUPP (`status` says why);
 * -errno. Our own threads and the constructor. */
int pf_mutex_enable(bool on);
int pf_block_enable(bool on);

/* contentions/count and delay/nanoseconds, as Go's, with a label `kind`; and who waits right now
 * (profile.waiting). While off: what was summed so far, and a comment that says so. */
pf_collect_fn pf_mutex_collect;
pf_collect_fn pf_block_collect;

/* How many rows each has; -1: it is off. */
int64_t pf_mutex_records(void);
int64_t pf_block_records(void);

/* The poller has gone. */
void pf_contention_stop(void);
/* In the child after fork: hooks pass through until it is enabled there. Atomic stores only. */
void pf_contention_fork_child(void);
