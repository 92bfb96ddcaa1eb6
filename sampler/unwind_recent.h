/* Unwind recent: the short rows that the last walks met, two KiB of them side by side, and where on the stack the last
 * walk read. All of it is fetched at once before the next walk begins, which then waits for a cache line only where it
 * goes a new way; in the cache of the whole process (unwind_cache.h) each row is on a line and mostly on a page of its own.
 * A sample comes a hundred times a second: what it touches is cold (doc/decisions/0004-heap-hooks.md).
 *
 *   rows[set]   63            22 21        0
 *               [ tag of PC ] [ short row ]   four a set, two sets on a line
 *
 * The set gives the PC's low bits (mixed with the tag), the tag the rest: 48 bits in all, which is every address of
 * a program. The tag also says which of the four is looked at first. Only rows of modules that cannot be closed.
 */
#pragma once
#include "base/mark.h"
#include "sampler/unwind_cache.h"

#include <stdint.h>

enum { PF_RECENT_SET_BITS = 6, PF_RECENT_WAYS = 4, PF_RECENT_PLACES = 62 };

/* All zero: empty. One walk at a time; whatever is half written is still right. */
struct pf_unwind_recent {
	uint32_t count;
	uint32_t turn;                     /* whose place a row takes that had to leave its own */
	uint32_t places[PF_RECENT_PLACES]; /* stack pointers, the low half */
	uint64_t rows[1 << PF_RECENT_SET_BITS][PF_RECENT_WAYS] __attribute__((aligned(64)));
};

struct pf_recent_place {
	uint64_t *set, *first;
	uint64_t tag;
};

PF_INLINE struct pf_recent_place pf_recent_place(struct pf_unwind_recent *recent, uint64_t pc)
{
	uint64_t tag = pc >> PF_RECENT_SET_BITS, mixed = tag * 0x9e3779b97f4a7c15ull;
	uint64_t *set = recent->rows[(pc ^ mixed >> 40) & ((1 << PF_RECENT_SET_BITS) - 1)];

	return (struct pf_recent_place){set, &set[mixed >> 50 & (PF_RECENT_WAYS - 1)], tag};
}

/* The short row of `pc`, or 0. */
PF_INLINE uint32_t pf_recent_get(struct pf_unwind_recent *recent, uint64_t pc)
{
	struct pf_recent_place p = pf_recent_place(recent, pc);

	if (PF_LIKELY(*p.first >> PF_SHORT_BITS == p.tag))
		return (uint32_t)*p.first & ((1 << PF_SHORT_BITS) - 1);
	for (int i = 0; i < PF_RECENT_WAYS; i++)
		if (p.set[i] >> PF_SHORT_BITS == p.tag)
			return (uint32_t)p.set[i] & ((1 << PF_SHORT_BITS) - 1);
	return 0;
}

PF_INLINE void pf_recent_put(struct pf_unwind_recent *recent, uint64_t pc, uint32_t row)
{
	struct pf_recent_place p = pf_recent_place(recent, pc);

	if (pc >> 48 != 0)
		return;
	p.set[recent->turn++ % PF_RECENT_WAYS] = *p.first;
	*p.first = p.tag << PF_SHORT_BITS | row;
}

/* The walk reads the stack here, for its frame of this number. */
PF_INLINE void pf_recent_note(struct pf_unwind_recent *recent, uint32_t frame, uint64_t sp)
{
	if (frame < PF_RECENT_PLACES)
		recent->places[frame] = (uint32_t)sp;
}

PF_INLINE void pf_recent_expect(const struct pf_unwind_recent *recent)
{
	enum { SETS_OF_LINE = 64 / sizeof(recent->rows[0]) };

	for (int i = 0; i < 1 << PF_RECENT_SET_BITS; i += SETS_OF_LINE)
		__builtin_prefetch(recent->rows[i]);
	__builtin_prefetch(&recent->count);
}

/* A walk begins at `sp`. What lies far from there was another thread's stack. */
PF_INLINE void pf_recent_begin(struct pf_unwind_recent *recent, uint64_t sp)
{
	enum { LINE_SHIFT = 6, FAR = 1 << 16 };
	uint64_t line = sp >> LINE_SHIFT;

	pf_recent_expect(recent);
	for (uint32_t i = 0; i < recent->count; i++) {
		uint32_t above = recent->places[i] - (uint32_t)sp;
		uint64_t at = sp + above - sizeof(uint64_t);

		if (above < FAR && at >> LINE_SHIFT != line)
			__builtin_prefetch((const void *)(uintptr_t)at);
		line = at >> LINE_SHIFT;
	}
	recent->count = 0;
}

/* It had so many frames. */
PF_INLINE void pf_recent_end(struct pf_unwind_recent *recent, uint32_t frames)
{
	recent->count = frames < PF_RECENT_PLACES ? frames : PF_RECENT_PLACES;
}
