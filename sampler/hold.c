#include "sampler/hold.h"
#include "base/clock.h"
#include "base/forbid.h"
#include "base/lock.h"
#include "sampler/guard.h"
#include "sampler/patch.h"

#include <limits.h>
#include <sys/mman.h>

/* Of the whole hold: a thread that waits here may hold a lock that the loader waits for, the loader's own (a
 * constructor that unmaps) or one of an allocator that is not libc's. */
static const int64_t PATIENCE_NS = 100 * (int64_t)PF_NS_PER_MS;
/* A thread that gives up a hole fills it next: that takes it no more work than this, however long it is kept from
 * it. The work of all threads is what is looked at: it is those with one that do this. */
static const int64_t WORK_NS = 2 * (int64_t)PF_NS_PER_MS;
static const int64_t SETTLE_NS = 20 * (int64_t)PF_NS_PER_MS;

static uint32_t holding; /* atomic; a futex word */
static int64_t
    hold_until; /* atomic; monotonic: over by then in whatever child a fork has made, too */
static uint32_t waiting; /* atomic: threads of the program that do */

static PF_HOOK void wait_for_end(void)
{
	int64_t until = __atomic_load_n(&hold_until, __ATOMIC_RELAXED);

	if (pf_guard_held() ||
	    pf_is_forbidden(PF_FORBIDDEN_HOST | PF_FORBIDDEN_FUTEX | PF_FORBIDDEN_CLOCK))
		return;
	__atomic_fetch_add(&waiting, 1, __ATOMIC_RELAXED);
	while (__atomic_load_n(&holding, __ATOMIC_ACQUIRE) && pf_clock_now_ns() < until)
		pf_futex_wait(&holding, 1, until);
	__atomic_fetch_sub(&waiting, 1, __ATOMIC_RELAXED);
}

static PF_HOOK int unmap(void *at, size_t size)
{
	if (PF_UNLIKELY(__atomic_load_n(&holding, __ATOMIC_ACQUIRE)))
		wait_for_end();
	return munmap(at, size);
}

/* Our own slots are never patched, so this is the function behind the hook. */
static void *real_munmap = (void *)munmap;

static const struct pf_patch patches[] = {
    {"munmap", (void *)unmap, &real_munmap, NULL},
};

static struct pf_patch_set set = {.patches = patches, .count = PF_COUNT(patches)};

void pf_hold_begin(void)
{
	static uint32_t nobody;
	int64_t worked = pf_clock_ns(CLOCK_PROCESS_CPUTIME_ID), now = pf_clock_now_ns();
	int64_t end = now + SETTLE_NS;

	if (pf_patch_on(&set) < 0)
		return;
	__atomic_store_n(&hold_until, now + PATIENCE_NS, __ATOMIC_RELAXED);
	__atomic_store_n(&holding, 1, __ATOMIC_SEQ_CST);
	while (now < end) {
		pf_futex_wait(&nobody, 0, now + PF_NS_PER_MS);
		now = pf_clock_now_ns();
		if (__atomic_load_n(&waiting, __ATOMIC_RELAXED) ||
		    pf_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - worked > WORK_NS)
			break;
	}
}

void pf_hold_end(void)
{
	__atomic_store_n(&holding, 0, __ATOMIC_SEQ_CST);
	pf_futex_wake(&holding, INT_MAX);
	pf_patch_off(&set);
}

void pf_hold_fork_child(void)
{
	__atomic_store_n(&holding, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&waiting, 0, __ATOMIC_RELAXED);
}
