#include "sampler/heap_hook.h"
#include "base/counter.h"
#include "base/knob.h"
#include "base/mark.h"
#include "sampler/guard.h"
#include "sampler/heap_book.h"
#include "sampler/heap_draw.h"
#include "sampler/heap_live.h"
#include "sampler/heap_site.h"
#include "sampler/patch.h"
#include "sampler/real.h"

#include <stddef.h>

/* A hook on its own cache line: worth a fifth of what a pair of them costs. */
#define HOT __attribute__((aligned(64)))

/* The real function is never called with the guard held: operator new may throw through us. */
static PF_HOOK void note(const void *at, size_t size, uint64_t rate)
{
	if (!at)
		return;
	if (!pf_guard_enter()) {
		pf_count(PF_COUNTER_HEAP_LOST_NESTED);
		return;
	}
	pf_book_add(at, size, rate);
	pf_guard_leave();
}

/* count * size; what does not fit is refused by the real function, so it counts as nothing. */
PF_INLINE size_t product(size_t count, size_t size)
{
	size_t bytes;

	return __builtin_mul_overflow(count, size, &bytes) ? SIZE_MAX : bytes;
}

/* ---- allocating ---- */

/* Three hooks' worth for each: pf_real_after_ is the hook, which counts; slow_ is where the count
 * has run out; every_ is the hook of rate 1. `bytes` is what was asked for. */
#define ALLOCATING(name, type, params, args, bytes)                                                \
	static PF_HOOK type take_##name(uint64_t rate, PF_UNPACK params)                           \
	{                                                                                          \
		void *at = pf_real_##name args;                                                    \
                                                                                                   \
		if (rate)                                                                          \
			note(at, bytes, rate);                                                     \
		return at;                                                                         \
	}                                                                                          \
	HOOKS_OF(name, type, params, args, bytes)

#define HOOKS_OF(name, type, params, args, bytes)                                                  \
	static PF_HOOK type slow_##name params                                                     \
	{                                                                                          \
		return take_##name(pf_draw_sampled(bytes), PF_UNPACK args);                        \
	}                                                                                          \
	static PF_HOOK HOT type pf_real_after_##name params                                        \
	{                                                                                          \
		if (PF_UNLIKELY(pf_draw_spend(bytes)))                                             \
			return slow_##name args;                                                   \
		return PF_REAL_CALL(name, args);                                                   \
	}                                                                                          \
	static PF_HOOK type every_##name params                                                    \
	{                                                                                          \
		return take_##name(pf_draw_every(bytes), PF_UNPACK args);                          \
	}
#define PF_UNPACK(...) __VA_ARGS__

ALLOCATING(malloc, void *, (size_t size), (size), size)
ALLOCATING(calloc, void *, (size_t count, size_t size), (count, size), product(count, size))
ALLOCATING(aligned_alloc, void *, (size_t align, size_t size), (align, size), size)
ALLOCATING(memalign, void *, (size_t align, size_t size), (align, size), size)
ALLOCATING(valloc, void *, (size_t size), (size), size)
ALLOCATING(pvalloc, void *, (size_t size), (size), size)
ALLOCATING(mallocx, void *, (size_t size, int flags), (size, flags), size)
ALLOCATING(_Znwm, void *, (size_t size), (size), size)
ALLOCATING(_Znam, void *, (size_t size), (size), size)
ALLOCATING(_ZnwmRKSt9nothrow_t, void *, (size_t size, const void *tag), (size, tag), size)
ALLOCATING(_ZnamRKSt9nothrow_t, void *, (size_t size, const void *tag), (size, tag), size)
ALLOCATING(_ZnwmSt11align_val_t, void *, (size_t size, size_t align), (size, align), size)
ALLOCATING(_ZnamSt11align_val_t, void *, (size_t size, size_t align), (size, align), size)
ALLOCATING(_ZnwmSt11align_val_tRKSt9nothrow_t, void *, (size_t size, size_t align, const void *tag),
    (size, align, tag), size)
ALLOCATING(_ZnamSt11align_val_tRKSt9nothrow_t, void *, (size_t size, size_t align, const void *tag),
    (size, align, tag), size)

static PF_HOOK int take_posix_memalign(uint64_t rate, void **out, size_t align, size_t size)
{
	int rc = pf_real_posix_memalign(out, align, size);

	if (rate && rc == 0)
		note(*out, size, rate);
	return rc;
}
HOOKS_OF(posix_memalign, int, (void **out, size_t align, size_t size), (out, align, size), size)

/* ---- freeing ---- */

/* Forget it before freeing it: once freed, another thread may get the address. */
#define FREEING(name, params, args)                                                                \
	static PF_HOOK void slow_##name params                                                     \
	{                                                                                          \
		pf_book_drop(at);                                                                  \
		pf_real_##name args;                                                               \
	}                                                                                          \
	static PF_HOOK HOT void pf_real_after_##name params                                        \
	{                                                                                          \
		if (PF_UNLIKELY(pf_live_maybe(at)))                                                \
			slow_##name args;                                                          \
		else                                                                               \
			PF_REAL_CALL(name, args);                                                  \
	}

FREEING(free, (void *at), (at))
FREEING(free_sized, (void *at, size_t size), (at, size))
FREEING(free_aligned_sized, (void *at, size_t align, size_t size), (at, align, size))
FREEING(dallocx, (void *at, int flags), (at, flags))
FREEING(sdallocx, (void *at, size_t size, int flags), (at, size, flags))
FREEING(_ZdlPv, (void *at), (at))
FREEING(_ZdaPv, (void *at), (at))
FREEING(_ZdlPvm, (void *at, size_t size), (at, size))
FREEING(_ZdaPvm, (void *at, size_t size), (at, size))
FREEING(_ZdlPvRKSt9nothrow_t, (void *at, const void *tag), (at, tag))
FREEING(_ZdaPvRKSt9nothrow_t, (void *at, const void *tag), (at, tag))
FREEING(_ZdlPvSt11align_val_t, (void *at, size_t align), (at, align))
FREEING(_ZdaPvSt11align_val_t, (void *at, size_t align), (at, align))
FREEING(_ZdlPvmSt11align_val_t, (void *at, size_t size, size_t align), (at, size, align))
FREEING(_ZdaPvmSt11align_val_t, (void *at, size_t size, size_t align), (at, size, align))
FREEING(_ZdlPvSt11align_val_tRKSt9nothrow_t, (void *at, size_t align, const void *tag),
    (at, align, tag))
FREEING(_ZdaPvSt11align_val_tRKSt9nothrow_t, (void *at, size_t align, const void *tag),
    (at, align, tag))

/* ---- changing the size ---- */

/* Two facts about a realloc that are the same whether the block is sampled or not, so that what
 * follows from them favours neither. */
struct resize {
	struct pf_book_move move;
	uint64_t rate;      /* at which the block is sampled anew; 0: it is not */
	size_t usable_then; /* 0: not known */
	bool every_block;
};

static PF_HOOK size_t usable(void *at)
{
	if (!at || !pf_real_pointers[PF_REAL_malloc_usable_size])
		return 0;
	return pf_real_malloc_usable_size(at);
}

static PF_HOOK void resize_begin(struct resize *r, void *at, uint64_t rate)
{
	r->every_block = pf_knob_get(PF_KNOB_HEAP_SAMPLE_BYTES) == 1;
	r->rate = rate;
	r->usable_then = usable(at);
	r->move.generation = 0;
	if (at && pf_live_maybe(at))
		pf_book_move_begin(&r->move, at);
}

/* A block that stays where it is and about as big stays what it was: sampled, at the stack that
 * allocated it, or not. Else it is a new one. (Were every resize a new draw, a block that grows a
 * little all the time would be sampled in the end; were none, a block that grew from a kilobyte to
 * a gigabyte would stand for a terabyte, or for nothing.) At rate 1 staying is enough. */
static PF_HOOK bool is_same_block(const struct resize *r, void *at, void *to)
{
	if (to != at)
		return false;
	return r->every_block ||
	       (r->usable_then && pf_site_class(r->usable_then) == pf_site_class(usable(to)));
}

static PF_HOOK void resize_end(struct resize *r, void *at, void *to, size_t size)
{
	if (!to && size != 0) {
		pf_book_move_undo(&r->move, at); /* failed: the old block is as it was */
		return;
	}
	if (to && is_same_block(r, at, to)) {
		if (pf_book_move_stay(&r->move, to, size) || !r->every_block)
			return;
	} else {
		pf_book_move_drop(&r->move);
	}
	if (r->rate)
		note(to, size, r->rate);
}

#define RESIZING(name, params, args, bytes)                                                        \
	static PF_HOOK void *take_##name(uint64_t rate, PF_UNPACK params)                          \
	{                                                                                          \
		struct resize resize;                                                              \
		void *to;                                                                          \
                                                                                                   \
		resize_begin(&resize, at, rate);                                                   \
		to = pf_real_##name args;                                                          \
		resize_end(&resize, at, to, bytes);                                                \
		return to;                                                                         \
	}                                                                                          \
	static PF_HOOK void *slow_##name params                                                    \
	{                                                                                          \
		return take_##name(pf_draw_sampled(bytes), PF_UNPACK args);                        \
	}                                                                                          \
	static PF_HOOK void *known_##name params                                                   \
	{                                                                                          \
		return take_##name(0, PF_UNPACK args);                                             \
	}                                                                                          \
	static PF_HOOK HOT void *pf_real_after_##name params                                       \
	{                                                                                          \
		if (PF_UNLIKELY(pf_draw_spend(bytes)))                                             \
			return slow_##name args;                                                   \
		if (PF_UNLIKELY(pf_live_maybe(at)))                                                \
			return known_##name args;                                                  \
		return PF_REAL_CALL(name, args);                                                   \
	}                                                                                          \
	static PF_HOOK void *every_##name params                                                   \
	{                                                                                          \
		return take_##name(pf_draw_every(bytes), PF_UNPACK args);                          \
	}

RESIZING(realloc, (void *at, size_t size), (at, size), size)
RESIZING(
    reallocarray, (void *at, size_t count, size_t size), (at, count, size), product(count, size))
RESIZING(rallocx, (void *at, size_t size, int flags), (at, size, flags), size)

/* ---- the tables ---- */

#define HOOKS_ALLOCATING(X)                                                                        \
	X(malloc)                                                                                  \
	X(calloc)                                                                                  \
	X(realloc)                                                                                 \
	X(reallocarray)                                                                            \
	X(posix_memalign)                                                                          \
	X(aligned_alloc)                                                                           \
	X(memalign)                                                                                \
	X(valloc)                                                                                  \
	X(pvalloc)                                                                                 \
	X(mallocx)                                                                                 \
	X(rallocx)                                                                                 \
	X(_Znwm)                                                                                   \
	X(_Znam)                                                                                   \
	X(_ZnwmRKSt9nothrow_t)                                                                     \
	X(_ZnamRKSt9nothrow_t)                                                                     \
	X(_ZnwmSt11align_val_t)                                                                    \
	X(_ZnamSt11align_val_t)                                                                    \
	X(_ZnwmSt11align_val_tRKSt9nothrow_t)                                                      \
	X(_ZnamSt11align_val_tRKSt9nothrow_t)

#define HOOKS_FREEING(X)                                                                           \
	X(free)                                                                                    \
	X(free_sized)                                                                              \
	X(free_aligned_sized)                                                                      \
	X(dallocx)                                                                                 \
	X(sdallocx)                                                                                \
	X(_ZdlPv)                                                                                  \
	X(_ZdaPv)                                                                                  \
	X(_ZdlPvm)                                                                                 \
	X(_ZdaPvm)                                                                                 \
	X(_ZdlPvRKSt9nothrow_t)                                                                    \
	X(_ZdaPvRKSt9nothrow_t)                                                                    \
	X(_ZdlPvSt11align_val_t)                                                                   \
	X(_ZdaPvSt11align_val_t)                                                                   \
	X(_ZdlPvmSt11align_val_t)                                                                  \
	X(_ZdaPvmSt11align_val_t)                                                                  \
	X(_ZdlPvSt11align_val_tRKSt9nothrow_t)                                                     \
	X(_ZdaPvSt11align_val_tRKSt9nothrow_t)

#define ROW(name, function) {#name, (void *)(function), &pf_real_pointers[PF_REAL_##name], NULL},
#define COUNT_ROW(name)     ROW(name, pf_real_after_##name)
#define EVERY_ROW(name)     ROW(name, every_##name)

static const struct pf_patch counting[] = {HOOKS_FREEING(COUNT_ROW) HOOKS_ALLOCATING(COUNT_ROW)};
static const struct pf_patch every[] = {HOOKS_FREEING(COUNT_ROW) HOOKS_ALLOCATING(EVERY_ROW)};

static struct pf_patch_set set = {.patches = counting, .count = PF_COUNT(counting)};

int pf_heap_hook_on(bool every_block)
{
	/* An allocator's calls of itself are not the program's. In libc, strdup's are. */
	if (pf_real_home() == PF_REAL_HOME_LIBRARY)
		set.skip = pf_real_pointers[PF_REAL_malloc];
	set.patches = every_block ? every : counting;
	return pf_patch_on(&set);
}

int pf_heap_hook_off(void)
{
	return pf_patch_off(&set);
}
