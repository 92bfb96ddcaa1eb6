/* Heap profiles: three views of the same books. All of them -ENODATA while the heap is off. */
#pragma once
#include "base/profile.h"

/* Go's four columns: alloc_objects, alloc_space, inuse_objects, inuse_space, one sample for each
 * (stack, size class), with the class as label `bytes`. */
pf_collect_fn pf_heap_collect;

/* What was in use when it was most, since the start or since config/heap_peak_reset. */
pf_collect_fn pf_heap_peak_collect;

/* What is in use and older than a tenth of the time watched, one sample for each stack, largest
 * first; labels `oldest` and `youngest` say since when, in seconds. A leak goes on: its youngest is
 * young. What was set up once and is kept has no young ones. */
pf_collect_fn pf_heap_leaks_collect;
