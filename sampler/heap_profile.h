/* Heap profiles: five views of the same books. All of them -ENODATA while the heap is off. */
#pragma once
#include "base/profile.h"

/* Go's four columns: alloc_objects, alloc_space, inuse_objects, inuse_space, one sample for each
 * (stack, size class, kind, thread), which are labels: `bytes`, the largest size of the class;
 * `kind`, malloc, mmap or file; `thread`, the name of the allocating thread. */
pf_collect_fn pf_heap_collect;

/* What was in use when it was most, since the start or since config/heap_peak_reset. */
pf_collect_fn pf_heap_peak_collect;

/* What is in use and has outlived query.captures readings of the heap, or, where none are asked for,
 * was not born in the youngest tenth of the time watched. One sample for each stack, largest first;
 * labels `oldest` and `youngest` say since when, in seconds. A leak goes on: its youngest is young.
 * What was set up once and is kept has no young ones. (heap_leaks.c) */
pf_collect_fn pf_heap_leaks_collect;

/* How long blocks live: alloc_objects and alloc_space since the heap was switched on, one sample for
 * each stack and class of life, whose end is the label `life`; what is still in use has none.
 * (heap_lifetime.c) */
pf_collect_fn pf_heap_lifetime_collect;

/* What the views share. */
int pf_heap_profile_begin(struct pf_profile *out);
int pf_heap_profile_end(struct pf_profile *out);
void pf_heap_profile_add(struct pf_profile *out, uint32_t stack, const int64_t *values);

/* When the last reading but `captures` - 1 was, by pf_book_clock(). 0; -ENODATA: there were not so
 * many; -EINVAL: so many are not remembered. */
int pf_heap_captured_before(int64_t captures, uint64_t *time_us);

/* In the child after fork. Atomic stores only. */
void pf_heap_profile_fork_child(void);
