/* Gather: where every thread is, now. Those that sleep are read, those that run are asked.
 *
 * Behind the thread dump (once) and the wall clock (twenty times a second).
 */
#pragma once
#include "sampler/proc.h"

struct pf_sight {
	const struct pf_thread *thread;
	int state;      /* as pf_record.state (feed.h) */
	int64_t age_ns; /* for how long it has been there, at least; -1: not known */
	bool reused;
	uint32_t stack; /* id of the stack store; 0: none */
	const uint64_t *pcs;
	uint32_t count;
};

typedef void pf_gather_fn(void *context, const struct pf_sight *sight);

/* Calls `each` once for every thread that is alive, in no order. Those that run have until the
 * deadline (monotonic) to answer; then they have no stack. Ours are left out. 0 or -ENOMEM. */
int pf_gather(
    struct pf_proc_reader *reader, int64_t deadline_ns, pf_gather_fn *each, void *context);
