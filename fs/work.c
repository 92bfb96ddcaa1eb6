#include "fs/work.h"
#include "base/clock.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>

static const int64_t IDLE_NS = 2ll * PF_NS_PER_SECOND; /* then a worker goes home */

void pf_workers_init(struct pf_workers *workers, pf_start_thread_fn *start_thread)
{
	*workers = (struct pf_workers){
	    .start_thread = start_thread,
	    .lock = PF_LOCK_INIT(PF_LOCK_LEAF),
	};
}

static void push_locked(struct pf_workers *workers, struct pf_job *job)
{
	job->next = NULL;
	if (workers->last)
		workers->last->next = job;
	else
		workers->first = job;
	workers->last = job;
	workers->queued++;
}

static struct pf_job *pop_locked(struct pf_workers *workers)
{
	struct pf_job *job = workers->first;

	if (!job)
		return NULL;
	workers->first = job->next;
	if (!workers->first)
		workers->last = NULL;
	workers->queued--;
	return job;
}

/* Sleeps until there may be a job; false after a while without one. */
static bool rest_locked(struct pf_workers *workers)
{
	uint32_t seen = __atomic_load_n(&workers->wake, __ATOMIC_ACQUIRE);
	int64_t deadline = pf_clock_now_ns() + IDLE_NS;

	workers->idle++;
	pf_lock_give(&workers->lock);
	pf_futex_wait(&workers->wake, seen, deadline);
	pf_lock_take(&workers->lock);
	workers->idle--;
	return workers->first || (!workers->stopping && pf_clock_now_ns() < deadline);
}

static void *work(void *arg)
{
	struct pf_workers *workers = arg;
	struct pf_job *job;

	pf_lock_take(&workers->lock);
	for (;;) {
		job = pop_locked(workers);
		if (job) {
			pf_lock_give(&workers->lock);
			job->run(job, 0);
			pf_lock_take(&workers->lock);
		} else if (workers->stopping || !rest_locked(workers)) {
			break;
		}
	}
	workers->alive--;
	pf_lock_give(&workers->lock);
	/* From here on the memory may be gone; the kernel does not mind. */
	__atomic_fetch_sub(&workers->threads, 1, __ATOMIC_RELEASE);
	pf_futex_wake(&workers->threads, INT_MAX);
	return NULL;
}

static void refuse_all(struct pf_job *job, int rc)
{
	while (job) {
		struct pf_job *next = job->next;

		job->run(job, rc);
		job = next;
	}
}

/* One more worker. Where none can be had and none is left, whatever is queued is refused. */
static void hire(struct pf_workers *workers)
{
	struct pf_job *left = NULL;
	int rc;

	__atomic_fetch_add(&workers->threads, 1, __ATOMIC_RELAXED);
	rc = workers->start_thread("file", work, workers);
	if (rc == 0)
		return;
	__atomic_fetch_sub(&workers->threads, 1, __ATOMIC_RELEASE);
	pf_futex_wake(&workers->threads, INT_MAX);
	pf_lock_take(&workers->lock);
	workers->alive--;
	if (workers->alive == 0) {
		left = workers->first;
		workers->first = workers->last = NULL;
		workers->queued = 0;
	}
	pf_lock_give(&workers->lock);
	refuse_all(left, rc);
}

void pf_workers_add(struct pf_workers *workers, struct pf_job *job)
{
	bool stopping, short_handed;

	pf_lock_take(&workers->lock);
	stopping = workers->stopping;
	short_handed =
	    !stopping && workers->queued >= workers->idle && workers->alive < PF_WORKERS_MAX;
	workers->alive += short_handed;
	if (!stopping)
		push_locked(workers, job);
	__atomic_fetch_add(&workers->wake, 1, __ATOMIC_RELEASE);
	pf_lock_give(&workers->lock);
	pf_futex_wake(&workers->wake, 1);
	if (short_handed)
		hire(workers);
	if (stopping)
		job->run(job, -EINTR);
}

int pf_workers_stop(struct pf_workers *workers, int64_t deadline_ns)
{
	uint32_t threads;

	pf_lock_take(&workers->lock);
	workers->stopping = true;
	__atomic_fetch_add(&workers->wake, 1, __ATOMIC_RELEASE);
	pf_lock_give(&workers->lock);
	pf_futex_wake(&workers->wake, INT_MAX);
	while ((threads = __atomic_load_n(&workers->threads, __ATOMIC_ACQUIRE)) != 0) {
		if (pf_clock_now_ns() >= deadline_ns)
			return -ETIMEDOUT;
		pf_futex_wait(&workers->threads, threads, deadline_ns);
	}
	return 0;
}
