/* Work: a few threads that come when there is something to do and go when there is not, so that
 * the thread that serves never makes anything itself.
 *
 * Any thread of ours; the lock inside has rank PF_LOCK_LEAF.
 */
#pragma once
#include "base/lock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The whole that a member, given by pointer, is part of. */
#define PF_WHOLE(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

enum { PF_WORKERS_MAX = 4 };

/* Embedded in whatever it is about. run() is called once, with no lock held: refused is 0, or why
 * it can not be done (no thread to be had; the end is near), and then it only tells who waits. */
struct pf_job {
	struct pf_job *next;
	void (*run)(struct pf_job *job, int refused);
};

typedef int pf_start_thread_fn(const char *name, void *(*run)(void *), void *arg);

struct pf_workers {
	pf_start_thread_fn *start_thread;
	uint32_t wake;    /* atomic, futex: counts the jobs that came */
	uint32_t threads; /* atomic, futex: alive */

	struct pf_lock lock;
	struct pf_job *first, *last; /* guarded by lock, as all below */
	uint32_t queued, idle, alive;
	bool stopping;
};

void pf_workers_init(struct pf_workers *workers, pf_start_thread_fn *start_thread);

/* Has it run soon, by a worker; or refused at once, by the caller. */
void pf_workers_add(struct pf_workers *workers, struct pf_job *job);

/* Lets them finish what is queued and end: 0, or -ETIMEDOUT at deadline_ns (monotonic), and then
 * nothing they use may be freed. */
int pf_workers_stop(struct pf_workers *workers, int64_t deadline_ns);
