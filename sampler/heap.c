#include "sampler/heap.h"
#include "base/feature.h"
#include "base/knob.h"
#include "base/lock.h"
#include "sampler/heap_book.h"
#include "sampler/heap_builtin.h"
#include "sampler/heap_draw.h"
#include "sampler/heap_hook.h"
#include "sampler/heap_mmap_hook.h"
#include "sampler/heap_region.h"
#include "sampler/heap_site.h"
#include "sampler/patch.h"
#include "sampler/real.h"

#include <errno.h>

static struct pf_lock lock = PF_LOCK_INIT(PF_LOCK_WINDOW);
static bool enabled; /* atomic; guarded by `lock` for writing */

bool pf_heap_enabled(void)
{
	return __atomic_load_n(&enabled, __ATOMIC_ACQUIRE);
}

static bool wants_every_block(void)
{
	return pf_knob_get(PF_KNOB_HEAP_SAMPLE_BYTES) == 1;
}

/* The hooks of rate 1 are others: threads may be counting down from a larger one. */
static int apply_rate(enum pf_knob_id id, int64_t value)
{
	int rc = 0;

	pf_lock_take(&lock);
	if (enabled)
		rc = pf_heap_hook_on(value == 1);
	pf_lock_give(&lock);
	return rc;
}

/* Mappings that nobody watches any more would be in use for ever. */
static int apply_mmap(enum pf_knob_id id, int64_t value)
{
	int rc = 0;

	pf_lock_take(&lock);
	if (enabled && value)
		rc = pf_heap_mmap_on();
	if (enabled && !value) {
		rc = pf_heap_mmap_off();
		pf_region_forget();
	}
	pf_lock_give(&lock);
	return rc;
}

static int apply_peak_reset(enum pf_knob_id id, int64_t value)
{
	if (value)
		pf_site_peak_reset();
	__atomic_store_n(&pf_knobs[id].value, 0, __ATOMIC_RELAXED); /* a button, not a switch */
	return 0;
}

static int refuse(const char *reason)
{
	pf_feature_set(PF_FEATURE_HEAP, PF_FEATURE_NONE, reason);
	return -EOPNOTSUPP;
}

/* 0, or why this program's allocator is not for us. */
static int look_at_allocator(void)
{
	if (pf_real_resolve() < 0)
		return refuse("the program has no malloc and free that could be found");
	if (pf_real_home() == PF_REAL_HOME_SANITIZER)
		return refuse("malloc is AddressSanitizer's or another sanitizer's, which keeps "
			      "books of its own: build without -fsanitize to profile the heap");
	return 0;
}

static const char *builtin; /* atomic; what to say of an allocator inside the executable */

static void say_enabled(void)
{
	const char *reason = __atomic_load_n(&builtin, __ATOMIC_ACQUIRE);

	if (pf_real_home() == PF_REAL_HOME_PROGRAM)
		reason =
		    "the executable has its own malloc: only what shared libraries allocate is "
		    "seen, and not what the executable frees";
	pf_feature_set(PF_FEATURE_HEAP, reason ? PF_FEATURE_DEGRADED : PF_FEATURE_OK, reason);
}

/* Takes milliseconds, so not while the program waits for its start: at the first reading. */
void pf_heap_look_for_builtin(void)
{
	static bool looked; /* atomic */
	const char *found;

	if (!pf_heap_enabled() || __atomic_load_n(&looked, __ATOMIC_ACQUIRE))
		return;
	found = pf_heap_builtin();
	pf_lock_take(&lock);
	__atomic_store_n(&builtin, found, __ATOMIC_RELEASE);
	if (enabled)
		say_enabled();
	pf_lock_give(&lock);
	__atomic_store_n(&looked, true, __ATOMIC_RELEASE);
}

static int enable_locked(void)
{
	int rc = look_at_allocator();

	if (rc < 0)
		return rc;
	pf_knobs[PF_KNOB_HEAP_SAMPLE_BYTES].apply = apply_rate;
	pf_knobs[PF_KNOB_HEAP_PEAK_RESET].apply = apply_peak_reset;
	pf_knobs[PF_KNOB_HEAP_MMAP].apply = apply_mmap;
	/* The hooks first, all of them, and only then the book: a block that is sampled in one
	 * module shall not be freed unseen in another. */
	rc = pf_heap_hook_on(wants_every_block());
	if (rc == 0 && pf_knob_get(PF_KNOB_HEAP_MMAP))
		rc = pf_heap_mmap_on();
	if (rc == 0)
		rc = pf_book_open();
	if (rc < 0) {
		pf_heap_mmap_off();
		pf_heap_hook_off();
		pf_feature_set(PF_FEATURE_HEAP, PF_FEATURE_NONE, "no memory for its tables");
		return rc;
	}
	pf_draw_start(0);
	say_enabled();
	return 0;
}

static void disable_locked(void)
{
	pf_draw_stop();
	pf_book_close();
	pf_heap_mmap_off();
	pf_heap_hook_off();
	pf_feature_set(PF_FEATURE_HEAP, PF_FEATURE_OFF, NULL);
}

int pf_heap_enable(bool on)
{
	int rc = 0;

	pf_lock_take(&lock);
	if (on && !enabled)
		rc = enable_locked();
	else if (!on && enabled)
		disable_locked();
	if (rc == 0)
		__atomic_store_n(&enabled, on, __ATOMIC_RELEASE);
	pf_lock_give(&lock);
	return rc;
}

int64_t pf_heap_records(void)
{
	return pf_heap_enabled() ? (int64_t)pf_site_count() : -1;
}

void pf_heap_totals(int64_t *in_use, int64_t *allocated)
{
	if (pf_heap_enabled())
		pf_site_totals(in_use, allocated);
}

/* A thread that was inside the book is not here, and its block neither came nor went any more: in
 * doubt it is in use, and nobody will free it. */
void pf_heap_fork_child(bool stays)
{
	bool changing = !pf_lock_try(&lock);

	if (changing)
		pf_lock_reset(&lock);
	else
		pf_lock_give(&lock);
	stays = stays && enabled && !changing; /* by a thread that is not here to finish it */
	__atomic_store_n(&enabled, stays, __ATOMIC_RELEASE);
	if (stays) {
		pf_draw_start(0);     /* not its parent's and siblings' draws */
		pf_site_peak_reset(); /* since its start */
	} else {
		pf_draw_stop();
	}
	pf_book_fork_child(stays);
	pf_heap_profile_fork_child();
	pf_patch_fork_child();
}
