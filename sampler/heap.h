/* Heap: what the program allocated and what of it is in use, by stack.
 *
 * From the front door down: heap.c (on, off, the profile), heap_hook.c (the program's calls),
 * heap_draw.c (which are sampled), heap_book.c (what is in use), heap_live.c and heap_site.c (by
 * address, by stack).
 */
#pragma once
#include "base/profile.h"

#include <stdbool.h>
#include <stdint.h>

bool pf_heap_enabled(void);

/* Starts with an empty book, stops and forgets it. Idempotent. 0; -EOPNOTSUPP (`status` says why);
 * -errno. Our own threads and the constructor. */
int pf_heap_enable(bool on);

/* Go's four columns: alloc_objects, alloc_space, inuse_objects, inuse_space, one sample for each
 * (stack, size class), with the class as label `bytes`. -ENODATA while it is off. */
pf_collect_fn pf_heap_collect;

/* In the child after fork: hooks pass through until it is enabled there.
 * Atomic stores only. */
void pf_heap_fork_child(void);
