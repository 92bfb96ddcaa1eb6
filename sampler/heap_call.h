/* Heap call: what the hooks of any allocator's functions are made of (heap_hook.c, heap_direct_hook.c).
 *
 * Three hooks for each function: pf_real_after_NAME counts bytes and jumps on; slow_NAME is where the
 * count has run out, or another block of the page is in the book; every_NAME is the hook of rate 1.
 */
#pragma once
#include "base/mark.h"
#include "sampler/heap_book.h"
#include "sampler/heap_draw.h"
#include "sampler/heap_live.h"
#include "sampler/real.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A hook on its own cache line: worth a fifth of what a pair of them costs. And all of them side by side:
 * a page more is a miss more, in a program whose own code is large. (clang keeps the order by itself.) */
#if __has_attribute(no_reorder)
#define PF_CALL_HOT __attribute__((aligned(64), no_reorder))
#else
#define PF_CALL_HOT __attribute__((aligned(64)))
#endif

/* A block was allocated and sampled at this rate, or could not be had (NULL). The real function is
 * never called with the guard held: operator new may throw through us. PF_HOOK. */
void pf_call_note(const void *at, size_t size, uint64_t rate);

/* count * size; what does not fit is refused by the real function, so it counts as nothing. */
PF_INLINE size_t pf_call_product(size_t count, size_t size)
{
	size_t bytes;

	return __builtin_mul_overflow(count, size, &bytes) ? SIZE_MAX : bytes;
}

/* Two facts about a realloc that are the same whether the block is sampled or not, so that what
 * follows from them favours neither. */
struct pf_call_resize {
	struct pf_book_move move;
	uint64_t rate;      /* at which the block is sampled anew; 0: it is not */
	size_t usable_then; /* 0: not known */
	bool every_block;
};

/* Around the real function: usable is how much its allocator has given for the block, 0 where nobody
 * says. End: `to` is where it is now; NULL with size != 0: it failed. PF_HOOK. */
void pf_call_resize_begin(struct pf_call_resize *r, void *at, uint64_t rate, size_t usable);
void pf_call_resize_end(struct pf_call_resize *r, void *at, void *to, size_t size, size_t usable);

/* ---- allocating: `bytes` is what was asked for ---- */

#define PF_CALL_ALLOCATING(name, type, params, args, bytes)                                        \
	static PF_HOOK type take_##name(uint64_t rate, PF_UNPACK params)                           \
	{                                                                                          \
		void *at;                                                                          \
                                                                                                   \
		if (rate)                                                                          \
			pf_book_expect();                                                          \
		at = pf_real_##name args;                                                          \
		if (rate)                                                                          \
			pf_call_note(at, bytes, rate);                                             \
		return at;                                                                         \
	}                                                                                          \
	PF_CALL_COUNTING(name, type, params, args, bytes)

#define PF_CALL_COUNTING(name, type, params, args, bytes)                                          \
	static PF_HOOK type slow_##name params                                                     \
	{                                                                                          \
		return take_##name(pf_draw_sampled(bytes), PF_UNPACK args);                        \
	}                                                                                          \
	static PF_HOOK PF_CALL_HOT type pf_real_after_##name params                                \
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

/* ---- freeing ---- */

/* Forget it before freeing it: once freed, another thread may get the address. */
#define PF_CALL_FREEING(name, params, args)                                                        \
	static PF_HOOK void slow_##name params                                                     \
	{                                                                                          \
		pf_book_drop(at);                                                                  \
		pf_real_##name args;                                                               \
	}                                                                                          \
	static PF_HOOK PF_CALL_HOT void pf_real_after_##name params                                \
	{                                                                                          \
		if (PF_UNLIKELY(pf_live_maybe(at)))                                                \
			slow_##name args;                                                          \
		else                                                                               \
			PF_REAL_CALL(name, args);                                                  \
	}

/* ---- changing the size ---- */

/* The old block of a call that failed is as it was; reallocf() has freed it. */
#define PF_CALL_RESIZING(name, params, args, bytes, usable)                                        \
	PF_CALL_RESIZING_OR(true, name, params, args, bytes, usable)
#define PF_CALL_RESIZING_OR_FREEING(name, params, args, bytes, usable)                             \
	PF_CALL_RESIZING_OR(false, name, params, args, bytes, usable)

#define PF_CALL_RESIZING_OR(stays, name, params, args, bytes, usable)                              \
	static PF_HOOK void *take_##name(uint64_t rate, PF_UNPACK params)                          \
	{                                                                                          \
		struct pf_call_resize resize;                                                      \
		void *to;                                                                          \
                                                                                                   \
		pf_call_resize_begin(&resize, at, rate, usable(at));                               \
		to = pf_real_##name args;                                                          \
		pf_call_resize_end(&resize, at, to, to || (stays) ? (bytes) : 0, usable(to));      \
		return to;                                                                         \
	}                                                                                          \
	static PF_HOOK void *slow_##name params                                                    \
	{                                                                                          \
		return take_##name(pf_draw_sampled(bytes), PF_UNPACK args);                        \
	}                                                                                          \
	static PF_HOOK void *known_##name params                                                   \
	{                                                                                          \
		if (!pf_live_has(at))                                                              \
			return pf_real_##name args;                                                \
		return take_##name(0, PF_UNPACK args);                                             \
	}                                                                                          \
	static PF_HOOK PF_CALL_HOT void *pf_real_after_##name params                               \
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

/* int NAME(void **place, size_t count, size_t size) of NetBSD: 0, and *place is where it is now; else an
 * errno. Rare, so it counts nothing by itself. */
#define PF_CALL_RESIZING_ARRAY(name, usable)                                                       \
	static PF_HOOK int take_##name(uint64_t rate, void *place, size_t count, size_t size)      \
	{                                                                                          \
		void *const *block = place;                                                        \
		struct pf_call_resize resize;                                                      \
		void *at;                                                                          \
		int rc;                                                                            \
                                                                                                   \
		if (!place)                                                                        \
			return pf_real_##name(place, count, size);                                 \
		at = *block;                                                                       \
		pf_call_resize_begin(&resize, at, rate, usable(at));                               \
		rc = pf_real_##name(place, count, size);                                           \
		pf_call_resize_end(&resize, at, rc == 0 ? *block : NULL,                           \
		    rc == 0 ? count * size : SIZE_MAX, usable(*block));                            \
		return rc;                                                                         \
	}                                                                                          \
	static PF_HOOK int pf_real_after_##name(void *place, size_t count, size_t size)            \
	{                                                                                          \
		size_t bytes = pf_call_product(count, size);                                       \
                                                                                                   \
		return take_##name(                                                                \
		    pf_draw_spend(bytes) ? pf_draw_sampled(bytes) : 0, place, count, size);        \
	}                                                                                          \
	static PF_HOOK int every_##name(void *place, size_t count, size_t size)                    \
	{                                                                                          \
		return take_##name(                                                                \
		    pf_draw_every(pf_call_product(count, size)), place, count, size);              \
	}

/* ---- tables ---- */

#define PF_CALL_ROW(name, function)                                                                \
	{#name, (void *)(function), &pf_real_pointers[PF_REAL_##name], NULL},
#define PF_CALL_COUNT_ROW(name) PF_CALL_ROW(name, pf_real_after_##name)
#define PF_CALL_EVERY_ROW(name) PF_CALL_ROW(name, every_##name)
