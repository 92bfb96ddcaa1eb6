/* Heap live: the sampled blocks that are not freed yet, by their exact address.
 *
 * In front stands a filter, one byte for a page: how many sampled blocks start there. Nearly every
 * free finds a zero and is done. Behind it are buckets of eight addresses, a cache line each, with
 * their entries in an array beside. A block stands in the bucket of its page: the other blocks of
 * that page, which the filter cannot tell from it, all look into the same line and then are done.
 * When that is full, it stands in one of two buckets of its own, then in a larger table.
 *
 *     free(p) --> filter[page of p] == 0 ? done
 *                        |
 *                 words   [p0 p1 .. p7][ ... ]   0: empty, 1: being written
 *                 entries [e0 e1 .. e7][ ... ]
 *
 * No lock: a place is claimed and given back by compare-and-swap, so a thread may vanish, a signal
 * may come, a child may fork at any point. Memory is never given back.
 */
#pragma once
#include "base/mark.h"

#include <stdbool.h>
#include <stdint.h>

struct pf_live_entry {
	uint64_t size;   /* asked for */
	uint64_t weight; /* pf_draw_weight() */
	uint64_t origin; /* pf_live_origin() */
};

/* Where and when a block was allocated, in one word: its site (heap_site.h), and the microseconds of
 * pf_book_clock(), which are enough for half a year. */
enum { PF_LIVE_SITE_BITS = 20 };

PF_INLINE uint64_t pf_live_origin(uint32_t site, uint64_t born_us)
{
	return born_us << PF_LIVE_SITE_BITS | site;
}

PF_INLINE uint32_t pf_live_site(const struct pf_live_entry *entry)
{
	return (uint32_t)entry->origin & ((1u << PF_LIVE_SITE_BITS) - 1);
}

PF_INLINE uint64_t pf_live_born_us(const struct pf_live_entry *entry)
{
	return entry->origin >> PF_LIVE_SITE_BITS;
}

enum { PF_LIVE_PAGE_SHIFT = 12, PF_LIVE_FILTER_PAGES = 1 << (32 - PF_LIVE_PAGE_SHIFT) };

extern PF_HIDDEN uint8_t pf_live_filter[PF_LIVE_FILTER_PAGES];

/* The filter covers 4 GiB; what lies further apart shares its bytes. */
PF_INLINE uint32_t pf_live_page(const void *at)
{
	return (uint32_t)(uintptr_t)at >> PF_LIVE_PAGE_SHIFT;
}

/* May this block be in the table? Mostly not. */
PF_INLINE bool pf_live_maybe(const void *at)
{
	return __atomic_load_n(&pf_live_filter[pf_live_page(at)], __ATOMIC_RELAXED) != 0;
}

/* Is it there? For who frees it: a look, nothing is claimed. PF_HOOK. */
bool pf_live_has(const void *at);

/* It will be inserted: its cache lines may come meanwhile. PF_HOOK. */
void pf_live_expect(const void *at);

/* Takes a block in: 0. 1: its address was there already, so a free was missed; the old entry is in
 * *replaced. -ENOSPC: full. PF_HOOK. */
int pf_live_insert(
    const void *at, const struct pf_live_entry *entry, struct pf_live_entry *replaced);

/* Takes a block out. PF_HOOK. */
bool pf_live_remove(const void *at, struct pf_live_entry *out);

/* First table: 0 or -ENOMEM. Normal code. */
int pf_live_init(void);
/* Empties everything. Nobody may be inside insert or remove. */
void pf_live_clear(void);

/* Every block that is in the table from beginning to end of the call; what comes or goes meanwhile
 * may be among them. Our own threads. */
typedef void pf_live_each_fn(void *arg, const struct pf_live_entry *entry);
void pf_live_for_each(pf_live_each_fn *each, void *arg);
/* How many. */
uint64_t pf_live_count(void);
