/* Locks with a rank: whoever holds one may only take a higher one.
 *
 * One 32-bit futex word (0 free, 1 held, 2 held and somebody sleeps; Drepper, "Futexes are
 * tricky", mutex 2), no libc call but the futex itself, so SHARD and LEAF locks may be taken under
 * malloc. Never in a signal handler. No lock is held across a render, a wait or a call out.
 * Builds with assertions stop at a wrong order.
 */
#pragma once
#include "base/mark.h"

#include <stdbool.h>
#include <stdint.h>

enum pf_lock_rank {
	PF_LOCK_TURN,
	PF_LOCK_AGENT,
	PF_LOCK_MOUNT,
	PF_LOCK_FILE,
	PF_LOCK_WINDOW,
	PF_LOCK_THREAD,
	PF_LOCK_MAP,
	PF_LOCK_SHARD,
	PF_LOCK_SYMBOL,
	PF_LOCK_LEAF,
};

struct pf_lock {
	uint32_t word; /* atomic */
	uint32_t rank;
};

#define PF_LOCK_INIT(lock_rank)                                                                    \
	{                                                                                          \
		.word = 0, .rank = (lock_rank)                                                     \
	}

/* Any thread, hooks included for SHARD and LEAF. Not recursive. errno is kept. */
void pf_lock_take(struct pf_lock *lock);
void pf_lock_give(struct pf_lock *lock);
/* True when taken. */
bool pf_lock_try(struct pf_lock *lock);

/* In the child after fork, where the holder does not exist any more: free, whatever it was. */
void pf_lock_reset(struct pf_lock *lock);

/* From now on every lock is free, whoever has it: the callers' threads are dead, but for one. */
void pf_lock_all_free(void);
/* Are they? For what waits without a lock. PF_HOOK. */
bool pf_lock_are_all_free(void);

/* Sleep while *word == value, until deadline_ns (monotonic; <0: for ever) or a wake. Any wake, or
 * none, may end it: look again. errno is kept. */
void pf_futex_wait(uint32_t *word, uint32_t value, int64_t deadline_ns);
/* Wake up to `count` sleepers of this process. PF_SIGSAFE. */
void pf_futex_wake(uint32_t *word, int count);
