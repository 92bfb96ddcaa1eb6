#include "sampler/drain.h"
#include "base/clock.h"
#include "base/lock.h"
#include "sampler/cpu.h"
#include "sampler/crew.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>

enum { INTERVAL_MS = 100, LOOK_ROUND_INTERVALS = 10 };

enum { STOPPED, RUNNING, STOPPING };

static uint32_t running; /* atomic */
static uint32_t wakes;   /* atomic, a futex: moves when there is something to look at */

static void *run(void *unused)
{
	int intervals = 0;

	while (__atomic_load_n(&running, __ATOMIC_ACQUIRE) == RUNNING) {
		uint32_t seen = __atomic_load_n(&wakes, __ATOMIC_ACQUIRE);
		bool active = pf_cpu_active();

		pf_cpu_drain();
		if (!active)
			pf_cpu_settle();
		else if (++intervals % LOOK_ROUND_INTERVALS == 0)
			pf_cpu_look_round();
		pf_futex_wait(&wakes, seen,
		    active ? pf_clock_now_ns() + (int64_t)INTERVAL_MS * PF_NS_PER_MS : -1);
	}
	__atomic_store_n(&running, STOPPED, __ATOMIC_RELEASE);
	pf_futex_wake(&running, INT_MAX);
	return unused;
}

int pf_drain_start(void)
{
	uint32_t stopped = STOPPED;
	int rc;

	if (!__atomic_compare_exchange_n(
		&running, &stopped, RUNNING, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return -EALREADY;
	pf_cpu_init();
	rc = pf_crew_start("drain", run, NULL);
	if (rc < 0)
		__atomic_store_n(&running, STOPPED, __ATOMIC_RELEASE);
	return rc;
}

void pf_drain_stop(void)
{
	int64_t deadline_ns = pf_clock_now_ns() + PF_NS_PER_SECOND;
	uint32_t was = RUNNING;

	if (!__atomic_compare_exchange_n(
		&running, &was, STOPPING, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return;
	pf_drain_wake();
	while (__atomic_load_n(&running, __ATOMIC_ACQUIRE) == STOPPING &&
	       pf_clock_now_ns() < deadline_ns)
		pf_futex_wait(&running, STOPPING, deadline_ns);
}

void pf_drain_wake(void)
{
	__atomic_fetch_add(&wakes, 1, __ATOMIC_RELEASE);
	pf_futex_wake(&wakes, INT_MAX);
}

PF_SIGSAFE void pf_drain_fork_child(void)
{
	running = STOPPED;
}
