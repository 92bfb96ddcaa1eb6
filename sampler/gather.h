/* Gather: where every thread is, now. Those that sleep are read, those that run are asked.
 *
 * Behind the thread dump (one round) and the wall clock (a round at every tick). On a machine with
 * more to do than processors a thread that was asked has to wait for its turn before it can answer,
 * longer than a tick: then it is left to the next round, and what it says at last is for all the
 * rounds that it was left in.
 */
#pragma once
#include "sampler/proc.h"

struct pf_sight {
	const struct pf_thread *thread; /* has ended: what is remembered of it */
	bool ended;                     /* since it was asked */
	int state;                      /* as pf_record.state (feed.h) */
	int64_t age_ns; /* for how long it has been there, at least; -1: not known */
	bool reused;
	uint32_t stack; /* id of the stack store; 0: none */
	const uint64_t *pcs;
	uint32_t count;
	int64_t span_ns; /* of the rounds that this is for, together */
	uint32_t rounds; /* how many they are */
	bool before;     /* of these the present one is none */
};

typedef void pf_gather_fn(void *context, const struct pf_sight *sight);

struct pf_round {
	int64_t deadline_ns; /* monotonic: how long those that run may take to answer */
	int64_t span_ns;     /* the time that the round stands for */
	bool last;           /* who has not answered by then has no stack; else it is left over */
	pf_gather_fn *each;
	void *context;
};

/* NULL without memory. Our own threads. */
struct pf_gather *pf_gather_create(void);
void pf_gather_destroy(struct pf_gather *gather);

/* Calls `each` once for every thread that is alive, in no order, but for those that are left over;
 * and for those that were left over before. Ours are left out. How many are left over now. One gathering of the process may leave threads over (the wall clock's):
 * all rounds of the others are their last. */
size_t pf_gather_round(struct pf_gather *gather, const struct pf_round *round);
/* The same for one thread: false when there is no such thread (any more). */
bool pf_gather_one(struct pf_gather *gather, pid_t tid, const struct pf_round *round);
