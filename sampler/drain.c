#include "sampler/drain.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/mark.h"
#include "sampler/cpu.h"
#include "sampler/crew.h"
#include "sampler/wait_poll.h"
#include "sampler/wall.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>

enum { STOPPED, RUNNING, STOPPING };

static const int64_t ROOM_NS = 100 * (int64_t)PF_NS_PER_MS; /* at the most: it is malloc's to say */

static uint32_t running;  /* atomic */
static uint32_t has_room; /* atomic, a futex word */
static uint32_t wakes;    /* atomic, a futex: moves when there is something to look at */

/* Wall ticks and looks for futexes: they share what one look at the process says. What the poll has read of a
 * thread, the tick does not read again. */
static int64_t look(struct pf_activity *activity)
{
	uint32_t wanted = pf_wall_wanted();
	int64_t now_ns = pf_clock_now_ns();
	int64_t poll_ns = pf_wait_poll_turn(now_ns, activity, pf_wall_due_ns(now_ns, wanted));
	int64_t wall_ns = pf_wall_turn(now_ns, wanted, activity);

	if (poll_ns < 0 && wall_ns < 0)
		pf_activity_rest(activity);
	return pf_clock_sooner(poll_ns, wall_ns);
}

/* malloc makes a thread an arena when it asks for the first time: now, while that is safe (hold.h). */
static void make_room(void)
{
	void *volatile first = malloc(1);

	free(first);
	__atomic_store_n(&has_room, 1, __ATOMIC_RELEASE);
	pf_futex_wake(&has_room, INT_MAX);
}

static void *run(void *unused)
{
	struct pf_activity activity = {0};

	make_room();
	while (__atomic_load_n(&running, __ATOMIC_ACQUIRE) == RUNNING) {
		uint32_t seen = __atomic_load_n(&wakes, __ATOMIC_ACQUIRE);
		int64_t cpu_ns = pf_cpu_turn(pf_clock_now_ns());

		pf_futex_wait(&wakes, seen, pf_clock_sooner(cpu_ns, look(&activity)));
	}
	pf_activity_rest(&activity);
	__atomic_store_n(&running, STOPPED, __ATOMIC_RELEASE);
	pf_futex_wake(&running, INT_MAX);
	return unused;
}

int pf_drain_start(void)
{
	uint32_t stopped = STOPPED;
	int64_t deadline_ns;
	int rc;

	if (!__atomic_compare_exchange_n(
		&running, &stopped, RUNNING, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return -EALREADY;
	pf_cpu_init();
	pf_wall_init();
	__atomic_store_n(&has_room, 0, __ATOMIC_RELAXED);
	rc = pf_crew_start("drain", run, NULL);
	if (rc < 0) {
		__atomic_store_n(&running, STOPPED, __ATOMIC_RELEASE);
		return rc;
	}
	deadline_ns = pf_clock_now_ns() + ROOM_NS;
	while (!__atomic_load_n(&has_room, __ATOMIC_ACQUIRE) && pf_clock_now_ns() < deadline_ns)
		pf_futex_wait(&has_room, 0, deadline_ns);
	return 0;
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
