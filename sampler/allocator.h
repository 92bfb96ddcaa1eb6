/* Allocator: what the program's malloc says of itself.
 *
 * glibc's mallinfo2() walks every free chunk with the arena's lock held, and the program's malloc
 * waits for it. So the allocator is not asked more often than a thousandth of the time allows: a
 * look that took a millisecond is good for a second, and its age is told.
 */
#pragma once
#include "sampler/sampler.h"

/* 0; -EOPNOTSUPP: no allocator that can be asked, or it shall not be (config/ask_allocator). Our own threads. */
int pf_allocator_look(struct pf_allocator *out);
