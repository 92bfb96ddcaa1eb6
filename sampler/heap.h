/* Heap: what the program allocated and what of it is in use, by stack.
 *
 * From the front door down: heap.c (on, off), heap_profile.c (what a reader gets), heap_hook.c (the
 * program's calls), heap_draw.c (which are sampled), heap_book.c (what is in use), heap_live.c and
 * heap_site.c (by address, by stack).
 */
#pragma once
#include "sampler/heap_profile.h"

#include <stdbool.h>

bool pf_heap_enabled(void);

/* Starts with an empty book, stops and forgets it. Idempotent. 0; -EOPNOTSUPP (`status` says why);
 * -errno. Our own threads and the constructor. */
int pf_heap_enable(bool on);

/* At the cost of a look: records of the profile, -1 while it is off; bytes in use and ever allocated
 * by what was sampled, both left alone while it is off. Our own threads. */
int64_t pf_heap_records(void);
void pf_heap_totals(int64_t *in_use, int64_t *allocated);

/* At a reading: is there an allocator that we cannot see? Once. Our own threads. */
void pf_heap_look_for_builtin(void);

/* In the child after fork. It has the parent's blocks: with `stays` what was enabled goes on, with all
 * that it knows of them. Else hooks pass through until it is enabled there. */
void pf_heap_fork_child(bool stays);
