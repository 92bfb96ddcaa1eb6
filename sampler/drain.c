#include "sampler/drain.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/mark.h"
#include "sampler/cpu.h"
#include "sampler/crew.h"
#include "sampler/wall.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>

enum { STOPPED, RUNNING, STOPPING };

static uint32_t running; /* atomic */
static uint32_t wakes;   /* atomic, a futex: moves when there is something to look at */

static int64_t sooner(int64_t a_ns, int64_t b_ns)
{
	if (a_ns < 0 || b_ns < 0)
		return a_ns < 0 ? b_ns : a_ns;
	return a_ns < b_ns ? a_ns : b_ns;
}

static void *run(void *unused)
{
	while (__atomic_load_n(&running, __ATOMIC_ACQUIRE) == RUNNING) {
		uint32_t seen = __atomic_load_n(&wakes, __ATOMIC_ACQUIRE);
		int64_t cpu_ns = pf_cpu_turn(pf_clock_now_ns());
		int64_t wall_ns = pf_wall_turn(pf_clock_now_ns());

		pf_futex_wait(&wakes, seen, sooner(cpu_ns, wall_ns));
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
	pf_wall_init();
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

PF_HOOK void pf_drain_wake(void)
{
	__atomic_fetch_add(&wakes, 1, __ATOMIC_RELEASE);
	pf_futex_wake(&wakes, INT_MAX);
}

bool pf_drain_is_running(void)
{
	return __atomic_load_n(&running, __ATOMIC_ACQUIRE) == RUNNING;
}

PF_SIGSAFE void pf_drain_fork_child(void)
{
	running = STOPPED;
}
