/* A wait that its owner can end: until a deadline, early (keep what there is), or cancelled.
 *
 * The collector that takes 30 s sleeps in pf_wait_until(); the file system, on behalf of a reader
 * who pressed Ctrl-C or wrote 0 to cpu/seconds, ends it from another thread.
 */
#pragma once
#include <stdint.h>

enum pf_wait_end { PF_WAIT_RUNNING, PF_WAIT_STOPPED, PF_WAIT_CANCELLED };

struct pf_wait {
	uint32_t end; /* enum pf_wait_end, atomic; never goes back */
};

#define PF_WAIT_INIT                                                                               \
	{                                                                                          \
		.end = PF_WAIT_RUNNING                                                             \
	}

/* Sleeps until deadline_ns (monotonic): 0. Ended early by pf_wait_stop(): 1, and the caller keeps
 * what it has. By pf_wait_cancel(): -EINTR. NULL waits for the deadline alone. */
int pf_wait_until(struct pf_wait *wait, int64_t deadline_ns);

/* Any thread. The first one counts, except that a stop may still become a cancel. */
void pf_wait_stop(struct pf_wait *wait);
void pf_wait_cancel(struct pf_wait *wait);
