#include "sampler/allocator.h"
#include "base/clock.h"
#include "base/knob.h"
#include "base/lock.h"
#include "base/mark.h"
#include "sampler/crew.h"
#include "sampler/gate.h"
#include "sampler/real.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdbool.h>
#include <stddef.h>

/* A look may cost one part in so many of the time until the next. */
enum { SHARE = 1000 };
static const int64_t ANSWER_NS = 250 * (int64_t)PF_NS_PER_MS;

/* ---- each knows how it is asked ---- */

static void ask_glibc(void *function, struct pf_allocator *out)
{
	struct mallinfo2 info = ((struct mallinfo2(*)(void))function)();

	out->system_bytes = (int64_t)(info.arena + info.hblkhd);
	out->in_use_bytes = (int64_t)(info.uordblks + info.hblkhd);
	out->free_bytes = (int64_t)info.fordblks;
	out->mapped_bytes = (int64_t)info.hblkhd;
	out->trimmable_bytes = (int64_t)info.keepcost;
}

typedef int mallctl_fn(const char *name, void *old, size_t *old_length, void *new, size_t length);

/* -1 where this build of it does not know. */
static int64_t jemalloc_size(mallctl_fn *mallctl, const char *name)
{
	size_t value, length = sizeof(value);

	return mallctl(name, &value, &length, NULL, 0) == 0 ? (int64_t)value : -1;
}

static void ask_jemalloc(void *function, struct pf_allocator *out)
{
	mallctl_fn *mallctl = (mallctl_fn *)function;
	uint64_t epoch = 1; /* without it the numbers are those of the last time */

	mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch));
	out->system_bytes = jemalloc_size(mallctl, "stats.resident");
	out->in_use_bytes = jemalloc_size(mallctl, "stats.allocated");
	if (out->system_bytes >= 0 && out->in_use_bytes >= 0)
		out->free_bytes = out->system_bytes - out->in_use_bytes;
}

typedef int get_property_fn(const char *name, size_t *value);

static int64_t tcmalloc_size(get_property_fn *get, const char *name)
{
	size_t value;

	return get(name, &value) ? (int64_t)value : -1;
}

static void ask_tcmalloc(void *function, struct pf_allocator *out)
{
	get_property_fn *get = (get_property_fn *)function;
	int64_t heap = tcmalloc_size(get, "generic.heap_size");
	int64_t given_back = tcmalloc_size(get, "tcmalloc.pageheap_unmapped_bytes");

	out->in_use_bytes = tcmalloc_size(get, "generic.current_allocated_bytes");
	out->trimmable_bytes = tcmalloc_size(get, "tcmalloc.pageheap_free_bytes");
	if (heap < 0 || given_back < 0)
		return;
	out->system_bytes = heap - given_back;
	if (out->in_use_bytes >= 0)
		out->free_bytes = out->system_bytes - out->in_use_bytes;
}

static void ask_mimalloc(void *function, struct pf_allocator *out)
{
	size_t committed = 0;

	/* Elapsed, user, system time; resident now and at its peak; committed now and at its peak;
	 * page faults. */
	((void (*)(size_t *, size_t *, size_t *, size_t *, size_t *, size_t *, size_t *,
	    size_t *))function)(NULL, NULL, NULL, NULL, NULL, &committed, NULL, NULL);
	out->system_bytes = (int64_t)committed;
}

/* The one that malloc belongs to; the others may be there all the same. */
static const struct {
	const char *name;
	const char *symbol;
	void (*ask)(void *function, struct pf_allocator *out);
} allocators[] = {
    {"jemalloc", "mallctl", ask_jemalloc},
    {"tcmalloc", "MallocExtension_GetNumericProperty", ask_tcmalloc},
    {"mimalloc", "mi_process_info", ask_mimalloc},
    {"glibc", "mallinfo2", ask_glibc},
};

/* ---- not too often ---- */

static struct pf_lock lock = PF_LOCK_INIT(PF_LOCK_LEAF);
static struct pf_allocator last; /* guarded by lock; no name: never asked */

/* The function, if it is in the module that malloc is in. */
static void *find(const char *symbol)
{
	void *found;

	pf_gate_enter();
	found = pf_real_find(symbol);
	if (!pf_real_are_together(found, pf_real_find("malloc")))
		found = NULL;
	pf_gate_leave();
	return found;
}

static struct pf_allocator ask(void)
{
	static const struct pf_allocator unknown = {.system_bytes = -1,
	    .in_use_bytes = -1,
	    .free_bytes = -1,
	    .mapped_bytes = -1,
	    .trimmable_bytes = -1};
	struct pf_allocator now = unknown;

	for (size_t i = 0; i < PF_COUNT(allocators) && !now.name; i++) {
		void *function = find(allocators[i].symbol);

		if (!function)
			continue;
		now.name = allocators[i].name;
		now.time_ns = pf_clock_now_ns();
		allocators[i].ask(function, &now);
		now.took_ns = pf_clock_now_ns() - now.time_ns;
	}
	return now;
}

static bool is_fresh(const struct pf_allocator *look)
{
	return look->name && pf_clock_now_ns() - look->time_ns < look->took_ns * SHARE;
}

/* ---- by a thread of its own ---- */

enum { IDLE, ASKING };

static uint32_t state; /* atomic, a futex word */

static void *answer(void *unused)
{
	struct pf_allocator now = ask();

	pf_lock_take(&lock);
	last = now;
	pf_lock_give(&lock);
	__atomic_store_n(&state, IDLE, __ATOMIC_RELEASE);
	pf_futex_wake(&state, INT_MAX);
	return unused;
}

static int wait_for_answer(void)
{
	int64_t deadline_ns = pf_clock_now_ns() + ANSWER_NS;

	while (__atomic_load_n(&state, __ATOMIC_ACQUIRE) == ASKING) {
		if (pf_clock_now_ns() >= deadline_ns)
			return -ETIMEDOUT;
		pf_futex_wait(&state, ASKING, deadline_ns);
	}
	return 0;
}

/* Whoever comes while it is asked waits for the same answer. */
static int ask_and_wait(void)
{
	uint32_t idle = IDLE;
	int rc = 0;

	if (__atomic_compare_exchange_n(
		&state, &idle, ASKING, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		rc = pf_crew_start("ask", answer, NULL);
	if (rc < 0) {
		__atomic_store_n(&state, IDLE, __ATOMIC_RELEASE);
		return rc;
	}
	return wait_for_answer();
}

static void read_last(struct pf_allocator *out)
{
	pf_lock_take(&lock);
	*out = last;
	pf_lock_give(&lock);
}

int pf_allocator_look(struct pf_allocator *out)
{
	int rc;

	if (!pf_knob_get(PF_KNOB_ASK_ALLOCATOR))
		return -EOPNOTSUPP;
	read_last(out);
	if (is_fresh(out))
		return 0;
	rc = ask_and_wait();
	if (rc < 0)
		return rc;
	read_last(out);
	return out->name ? 0 : -EOPNOTSUPP;
}

void pf_allocator_fork_child(void)
{
	__atomic_store_n(&state, IDLE, __ATOMIC_RELAXED);
	pf_lock_reset(&lock);
}
