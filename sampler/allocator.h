/* Allocator: what the program's malloc says of itself.
 *
 * glibc's mallinfo2() walks every free chunk with the arena's lock held, and the program's malloc
 * waits for it. So the allocator is not asked more often than a thousandth of the time allows: a
 * look that took a millisecond is good for a second, and its age is told. And it is asked by a
 * thread of its own, for which nobody waits longer than a quarter of a second: where a thread of the
 * program died inside malloc with the lock, there is never an answer.
 */
#pragma once
#include "sampler/sampler.h"

/* 0; -EOPNOTSUPP: no allocator that can be asked, or it shall not be (config/ask_allocator);
 * -ETIMEDOUT: no answer. Our own threads. */
int pf_allocator_look(struct pf_allocator *out);

/* In the child after fork. Atomic stores only. */
void pf_allocator_fork_child(void);
