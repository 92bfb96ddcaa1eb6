/* Gather: where every thread is, now. Those that sleep are read, those that run are asked.
 *
 * Behind the thread dump (one round) and the wall clock (a round at every tick). Who is asked answers when the
 * kernel's tick meets it running. The dump waits for that; a tick does not: the rounds that met the thread running
 * are kept with the question, and the answer is for all of them, whenever it comes. A thread that is asleep
 * again at the next tick has its sleep there, and its answer for this one is still to come.
 */
#pragma once
#include "sampler/proc.h"

struct pf_sight {
	const struct pf_thread *thread; /* has ended: what is remembered of it */
	bool ended;                     /* since it was asked */
	int state;                      /* as pf_record.state (feed.h) */
	int64_t age_ns; /* for how long it has been there, at least; -1: not known */
	bool reused;
	uint32_t labels; /* of the thread when it was there */
	uint32_t stack;  /* id of the stack store; 0: none */
	const uint64_t *pcs;
	uint32_t count;
	int64_t at_ns;   /* of the last round that this is for */
	int64_t span_ns; /* of these rounds together, one behind the other */
	uint32_t rounds; /* how many they are */
};

typedef void pf_gather_fn(void *context, const struct pf_sight *sight);

struct pf_round {
	int64_t at_ns;       /* monotonic: its time */
	int64_t span_ns;     /* the time that the round stands for: what is before that */
	bool last;           /* waits for answers; who has not given one by then has no stack */
	int64_t deadline_ns; /* of the last: how long those that run may take */
	pf_gather_fn *each;
	void *context;
};

/* NULL without memory. Our own threads. */
struct pf_gather *pf_gather_create(void);
void pf_gather_destroy(struct pf_gather *gather);

/* Calls `each` for every thread that is alive, in no order, but for those whose answer is to come; and for the
 * rounds of before that have their answer now. Ours are left out. Returns how many of this round have theirs
 * to come. One gathering of the process may have such rounds (the wall clock's): all rounds of the others are their last. */
size_t pf_gather_round(struct pf_gather *gather, const struct pf_round *round);
/* Is there a thread whose answer is to come? */
bool pf_gather_is_owed(const struct pf_gather *gather);
/* Nothing is asked any more of threads that are to be left alone: between two rounds. */
void pf_gather_let_go(struct pf_gather *gather);
/* The same for one thread: false when there is no such thread (any more). */
bool pf_gather_one(struct pf_gather *gather, pid_t tid, const struct pf_round *round);
