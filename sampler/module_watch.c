#include "sampler/module_watch.h"
#include "base/clock.h"
#include "base/lock.h"
#include "sampler/crew.h"
#include "sampler/gate.h"
#include "sampler/map.h"
#include "sampler/patch.h"
#include "sampler/patch_poke.h"
#include "sampler/unwind.h"

#include <errno.h>
#include <limits.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>

enum { STOPPED, RUNNING, STOPPING };

static uint32_t running; /* atomic, a futex word */

static int read_closed(struct dl_phdr_info *module, size_t size, void *closed)
{
	*(uint64_t *)closed = module->dlpi_subs;
	return 1; /* each module tells the same number */
}

/* How many modules have been closed since the process began. */
static uint64_t closed_modules(void)
{
	uint64_t closed = 0;

	pf_gate_enter();
	dl_iterate_phdr(read_closed, &closed);
	pf_gate_leave();
	return closed;
}

static void *run(void *unused)
{
	uint64_t closed = 0;

	while (__atomic_load_n(&running, __ATOMIC_ACQUIRE) == RUNNING) {
		uint32_t poke = __atomic_load_n(&pf_patch_poke, __ATOMIC_ACQUIRE);
		uint64_t now_closed = closed_modules();
		int64_t again, now_ns;

		if (now_closed != closed)
			pf_unwind_flush();
		closed = now_closed;
		pf_map_look();
		again = pf_patch_refresh();
		now_ns = pf_clock_now_ns();
		pf_futex_wait(&pf_patch_poke, poke,
		    again < PF_NS_PER_SECOND ? now_ns + again : pf_clock_beat_after(now_ns, again));
	}
	__atomic_store_n(&running, STOPPED, __ATOMIC_RELEASE);
	pf_futex_wake(&running, INT_MAX);
	return unused;
}

int pf_module_watch_start(void)
{
	uint32_t stopped = STOPPED;
	int rc;

	if (!__atomic_compare_exchange_n(
		&running, &stopped, RUNNING, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return -EALREADY;
	rc = pf_crew_start("mod", run, NULL);
	if (rc < 0)
		__atomic_store_n(&running, STOPPED, __ATOMIC_RELEASE);
	else
		pf_patch_poke_listen(true);
	return rc;
}

void pf_module_watch_stop(void)
{
	int64_t deadline_ns = pf_clock_now_ns() + PF_NS_PER_SECOND;
	uint32_t was = RUNNING;

	if (!__atomic_compare_exchange_n(
		&running, &was, STOPPING, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return;
	pf_patch_poke_listen(false);
	__atomic_fetch_add(&pf_patch_poke, 1, __ATOMIC_RELEASE);
	pf_futex_wake(&pf_patch_poke, INT_MAX);
	while (__atomic_load_n(&running, __ATOMIC_ACQUIRE) == STOPPING &&
	       pf_clock_now_ns() < deadline_ns)
		pf_futex_wait(&running, STOPPING, deadline_ns);
}

void pf_module_watch_fork_child(void)
{
	running = STOPPED;
	pf_patch_poke_listen(false);
}
