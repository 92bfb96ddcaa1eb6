/* Unwind recent: the short rows that the last walks met, two KiB of them side by side, and where on the stack the last
 * walk read. All of it is fetched at once before the next walk begins, which then waits for a cache line only where it
 * goes a new way; in the cache of the whole process (unwind_cache.h) each row is on a line and mostly on a page of its own.
 * A sample comes a hundred times a second: what it touches is cold (doc/decisions/0004-heap-hooks.md).
 *
 *   rows[set]   63            22 21        0
 *               [ tag of PC ] [ short row ]   eight, the newest first
 *
 * The set gives the PC's low bits (mixed with the tag), the tag the rest: 47 bits in all, which is every address of
 * a program. Only rows of modules that cannot be closed.
 */
#pragma once
#include "base/mark.h"
#include "sampler/unwind_cache.h"

#include <stdint.h>

enum { PF_RECENT_SET_BITS = 5, PF_RECENT_WAYS = 8, PF_RECENT_PLACES = 63 };

/* All zero: empty. One walk at a time; whatever is half written is still right. */
struct pf_unwind_recent {
	uint32_t count;
	uint32_t places[PF_RECENT_PLACES]; /* stack pointers, the low half */
	uint64_t rows[1 << PF_RECENT_SET_BITS][PF_RECENT_WAYS] __attribute__((aligned(64)));
};

PF_INLINE uint64_t *pf_recent_set(struct pf_unwind_recent *recent, uint64_t pc)
{
	uint64_t tag = pc >> PF_RECENT_SET_BITS;

	return recent
	    ->rows[(pc ^ (tag * 0x9e3779b97f4a7c15ull >> 40)) & ((1 << PF_RECENT_SET_BITS) - 1)];
}

/* The short row of `pc`, or 0. */
PF_INLINE uint32_t pf_recent_get(struct pf_unwind_recent *recent, uint64_t pc)
{
	const uint64_t *set = pf_recent_set(recent, pc);
	uint64_t tag = pc >> PF_RECENT_SET_BITS;

	for (int i = 0; i < PF_RECENT_WAYS; i++)
		if (set[i] >> PF_SHORT_BITS == tag)
			return (uint32_t)set[i] & ((1 << PF_SHORT_BITS) - 1);
	return 0;
}

PF_INLINE void pf_recent_put(struct pf_unwind_recent *recent, uint64_t pc, uint32_t row)
{
	uint64_t *set = pf_recent_set(recent, pc);

	if (pc >> 47 != 0)
		return;
	for (int i = PF_RECENT_WAYS - 1; i > 0; i--)
		set[i] = set[i - 1];
	set[0] = pc >> PF_RECENT_SET_BITS << PF_SHORT_BITS | row;
}

/* The walk reads the stack here. */
PF_INLINE void pf_recent_note(struct pf_unwind_recent *recent, uint64_t sp)
{
	if (recent->count < PF_RECENT_PLACES)
		recent->places[recent->count++] = (uint32_t)sp;
}

PF_INLINE void pf_recent_expect(const struct pf_unwind_recent *recent)
{
	for (int i = 0; i < 1 << PF_RECENT_SET_BITS; i++)
		__builtin_prefetch(recent->rows[i]);
	__builtin_prefetch(&recent->count);
}

/* A walk begins at `sp`. */
PF_INLINE void pf_recent_begin(struct pf_unwind_recent *recent, uint64_t sp)
{
	enum { LINE_SHIFT = 6 };
	uint64_t line = sp >> LINE_SHIFT;

	pf_recent_expect(recent);

	for (uint32_t i = 0; i < recent->count; i++) {
		uint64_t at = sp + (uint32_t)(recent->places[i] - (uint32_t)sp) - sizeof(uint64_t);

		if (at >> LINE_SHIFT != line)
			__builtin_prefetch((const void *)(uintptr_t)at);
		line = at >> LINE_SHIFT;
	}
	recent->count = 0;
}
