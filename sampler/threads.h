/* Thread dump: one sample for every thread of the program, where it is now. */
#pragma once
#include "base/profile.h"
#include "sampler/sampler.h"

/* PF_SOURCE_THREADS. Labels: thread, tid, state; syscall and age_ns (how long it has been
 * there) where it sleeps; created_by (address of the call that created it) and creator (tid)
 * where the creation was seen. */
pf_collect_fn pf_threads_collect;

/* The door's `threads`. */
size_t pf_threads_list(struct pf_thread_view *out, size_t max);

/* One thread of the program by its number; false when there is none. Our own threads. */
bool pf_threads_one(pid_t tid, struct pf_thread_view *out);
