#include "sampler/contention.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/feature.h"
#include "base/knob.h"
#include "base/lock.h"
#include "base/loss.h"
#include "sampler/blocked.h"
#include "sampler/map.h"
#include "sampler/stack.h"
#include "sampler/wait_hook.h"
#include "sampler/wait_poll.h"
#include "sampler/wait_site.h"
#include "sampler/waiter.h"

#include <errno.h>

static struct pf_lock lock = PF_LOCK_INIT(PF_LOCK_WINDOW);
static bool mutex_on, block_on; /* atomic; guarded by `lock` for writing */

bool pf_mutex_enabled(void)
{
	return __atomic_load_n(&mutex_on, __ATOMIC_ACQUIRE);
}

bool pf_block_enabled(void)
{
	return __atomic_load_n(&block_on, __ATOMIC_ACQUIRE);
}

bool pf_block_watches_sync(void)
{
	return pf_block_enabled() && (pf_knob_get(PF_KNOB_BLOCK_KINDS) & PF_WATCH_SYNC);
}

/* ---- on and off ---- */

static unsigned hooks_for(uint32_t watch)
{
	unsigned hooks = 0;

	if (watch & (PF_WATCH_MUTEX | PF_WATCH_SYNC))
		hooks |= PF_HOOKS_LOCK | PF_HOOKS_SYNC;
	if (watch & PF_WATCH_MUTEX)
		hooks |= PF_HOOKS_UNLOCK;
	if (watch & PF_WATCH_SLEEP)
		hooks |= PF_HOOKS_SLEEP;
	if (watch & PF_WATCH_IO)
		hooks |= PF_HOOKS_IO;
	return hooks;
}

static uint32_t watch_for(bool mutex, bool block, int64_t kinds)
{
	return (mutex ? PF_WATCH_MUTEX : 0) | (block ? (uint32_t)kinds : 0);
}

/* Hooks before they are listened to, and off only when nobody listens any more. */
static int watch_locked(uint32_t watch)
{
	int rc = pf_wait_hook_set(hooks_for(watch));

	if (rc < 0)
		return rc;
	pf_waiter_watch(watch);
	return watch & (PF_WATCH_MUTEX | PF_WATCH_SYNC) ? pf_wait_poll_start()
							: pf_wait_poll_stop();
}

static int apply_kinds(enum pf_knob_id id, int64_t kinds)
{
	int rc;

	pf_lock_take(&lock);
	rc = watch_locked(watch_for(mutex_on, block_on, kinds));
	pf_lock_give(&lock);
	return rc;
}

static int refuse(enum pf_feature feature)
{
	pf_feature_set(feature, PF_FEATURE_NONE,
	    "the C library's locks are not of the form that is known here (glibc 2.25 and later)");
	return -EOPNOTSUPP;
}

static int enable_locked(bool *which, enum pf_feature feature, bool on)
{
	int64_t kinds = pf_knob_get(PF_KNOB_BLOCK_KINDS);
	bool was = *which;
	int rc;

	if (on == was)
		return 0;
	if (on && !pf_wait_hook_understands_locks())
		return refuse(feature);
	pf_knobs[PF_KNOB_BLOCK_KINDS].apply = apply_kinds;
	__atomic_store_n(which, on, __ATOMIC_RELEASE);
	rc = watch_locked(watch_for(mutex_on, block_on, kinds));
	if (rc < 0) {
		__atomic_store_n(which, was, __ATOMIC_RELEASE);
		watch_locked(watch_for(mutex_on, block_on, kinds));
		return rc;
	}
	pf_feature_set(feature, on ? PF_FEATURE_OK : PF_FEATURE_OFF, NULL);
	return 0;
}

static int enable(bool *which, enum pf_feature feature, bool on)
{
	int rc;

	pf_lock_take(&lock);
	rc = enable_locked(which, feature, on);
	pf_lock_give(&lock);
	return rc;
}

int pf_mutex_enable(bool on)
{
	return enable(&mutex_on, PF_FEATURE_MUTEX, on);
}

int pf_block_enable(bool on)
{
	return enable(&block_on, PF_FEATURE_BLOCK, on);
}

void pf_contention_stop(void)
{
	pf_wait_poll_stop();
}

void pf_contention_fork_child(void)
{
	__atomic_store_n(&mutex_on, false, __ATOMIC_RELEASE);
	__atomic_store_n(&block_on, false, __ATOMIC_RELEASE);
	pf_waiter_fork_child();
	pf_wait_poll_fork_child();
	pf_lock_reset(&lock);
}

/* ---- what a reader gets ---- */

static void add_site(void *profile, uint32_t kind, uint32_t stack, int64_t count, int64_t delay_ns)
{
	struct pf_profile *out = profile;
	int64_t values[] = {count, delay_ns};
	const uint64_t *pcs;
	uint32_t depth = pf_stack_read(stack, &pcs);

	pf_profile_add_sample(out, pcs, depth, values);
	pf_profile_label_str(out, "kind", pf_wait_kind_name(kind));
}

static void add_losses(struct pf_profile *out)
{
	static const enum pf_counter losses[] = {PF_COUNTER_WAIT_LOST_TABLE,
	    PF_COUNTER_WAIT_LOST_SITES, PF_COUNTER_PATCH_FOREIGN, PF_COUNTER_PATCH_REFUSED,
	    PF_COUNTER_STACK_OVERFLOW};

	pf_loss_comment(out, losses, PF_COUNT(losses));
}

/* Who waits is of interest, not in which part of libc: every semaphore waits in the same function.
 * Names that call code of the program (std::thread's, std::call_once) must not be here: what they
 * call would go with them. */
static const char primitives[] =
    "__futex_.*|futex_(wait|wake)|_*lll_lock_wait.*|syscall|"
    "_*(GI_)?_*pthread_(mutex_.*|cond_.*|rwlock_.*|spin_.*|barrier_wait|join|timedjoin_np|clockjoin.*)|"
    "(__new_)?sem_(wait|timedwait|clockwait|post)(_slow.*|@.*|\\..*)?|"
    "(mtx|cnd)_(lock|timedlock|unlock|wait|timedwait|signal|broadcast)|thrd_join|"
    "__gthread_[a-z_]+|"
    "std::(__1::)?(mutex|timed_mutex|recursive_mutex|recursive_timed_mutex|shared_mutex|"
    "shared_timed_mutex|__shared_mutex_pthread|__mutex_base|__condvar|condition_variable|"
    "condition_variable_any)::[a-z_]+|"
    "std::(__1::)?(lock_guard|unique_lock|shared_lock|scoped_lock)<.*>::[a-z_~]+|"
    "std::(__1::)?thread::join|std::__detail::(__platform_wait|__waiter).*|"
    "std::(__atomic_wait_address|__atomic_futex_unsigned).*|"
    "<?std::sys::.*(futex_wait|(Mutex|RwLock|Condvar)>?::[a-z_]+|Thread>?::join)|"
    "std::sync::(poison::)?(condvar::Condvar|barrier::Barrier)::wait(_timeout)?|"
    "std::sync::mp[sm]c::.*::(wait|wait_until|wait_max_until|recv|recv_timeout|recv_deadline)|"
    "std::thread::((current::)?park(_timeout(_ms)?)?|Join(Handle|Inner)<.*>::join)";

static int collect(struct pf_profile *out, enum pf_wait_profile which)
{
	int rc;

	pf_waiter_flush();
	out->time_ns = pf_clock_real_ns();
	out->leaf_is_return = true;
	out->drop_frames = primitives;
	pf_profile_add_type(out, "contentions", "count");
	pf_profile_add_type(out, "delay", "nanoseconds");
	pf_profile_set_period(out, "contentions", "count", 1);
	pf_wait_site_for_each(which, add_site, out);
	add_losses(out);
	rc = pf_map_fill(out);
	if (rc == 0)
		rc = pf_blocked_add(out);
	return rc < 0 ? rc : out->error;
}

/* Go, libgomp: seen in the kernel's words only. */
static void comment_polled(struct pf_profile *out)
{
	uint64_t polled_ns = pf_counter_get(PF_COUNTER_MUTEX_POLLED_NS);

	if (polled_ns)
		pf_profile_comment(out,
		    "polled %.3f ms since the start: nobody is charged for these, they stand at who waited",
		    (double)polled_ns / PF_NS_PER_MS);
}

int pf_mutex_collect(struct pf_profile *out, const struct pf_query *query, struct pf_wait *wait)
{
	if (!pf_mutex_enabled())
		pf_profile_comment(out, "off: echo +mutex > enable");
	pf_profile_comment(
	    out, "mutex_fraction %lld", (long long)pf_knob_get(PF_KNOB_MUTEX_FRACTION));
	comment_polled(out);
	return collect(out, PF_WAIT_OF_MUTEX);
}

int pf_block_collect(struct pf_profile *out, const struct pf_query *query, struct pf_wait *wait)
{
	char kinds[PF_KNOB_TEXT];

	if (!pf_block_enabled())
		pf_profile_comment(out, "off: echo +block > enable");
	pf_profile_comment(out, "block_rate_ns %lld, block_kinds %s",
	    (long long)pf_knob_get(PF_KNOB_BLOCK_RATE_NS),
	    pf_knob_text(PF_KNOB_BLOCK_KINDS, kinds));
	return collect(out, PF_WAIT_OF_BLOCK);
}

int64_t pf_mutex_records(void)
{
	return pf_mutex_enabled() ? (int64_t)pf_wait_site_count(PF_WAIT_OF_MUTEX) : -1;
}

int64_t pf_block_records(void)
{
	return pf_block_enabled() ? (int64_t)pf_wait_site_count(PF_WAIT_OF_BLOCK) : -1;
}
