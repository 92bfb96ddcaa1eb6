#include "sampler/heap_region.h"
#include "base/arena.h"
#include "base/counter.h"
#include "sampler/heap_book.h"

#include <errno.h>
#include <string.h>

#ifdef PF_SMALL
enum { REGIONS = 64 };
#else
enum { REGIONS = 8192 };
#endif

static const uintptr_t EMPTY = 0;
static const uintptr_t CLAIMED = 1;

struct region {
	uintptr_t start; /* atomic; EMPTY, CLAIMED, or its address */
	uintptr_t end;   /* atomic */
	struct pf_live_entry entry;
};

static struct region *regions; /* REGIONS of them; once */
static uint32_t used;          /* atomic: no region lies behind this number */

static PF_HOOK bool claim(struct region *r, uintptr_t value)
{
	return __atomic_load_n(&r->start, __ATOMIC_RELAXED) == value &&
	       __atomic_compare_exchange_n(
		   &r->start, &value, CLAIMED, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static PF_HOOK void release(struct region *r, uintptr_t start)
{
	__atomic_store_n(&r->start, start, __ATOMIC_RELEASE);
}

/* False: the table is full. */
static PF_HOOK bool put(uintptr_t start, uintptr_t end, const struct pf_live_entry *entry)
{
	for (uint32_t i = 0; i < REGIONS; i++) {
		uint32_t behind = __atomic_load_n(&used, __ATOMIC_RELAXED);

		if (!claim(&regions[i], EMPTY))
			continue;
		while (behind <= i && !__atomic_compare_exchange_n(&used, &behind, i + 1, true,
					  __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			;
		__atomic_store_n(&regions[i].end, end, __ATOMIC_RELAXED);
		regions[i].entry = *entry;
		release(&regions[i], start);
		return true;
	}
	pf_count(PF_COUNTER_HEAP_LOST_REGIONS);
	return false;
}

PF_HOOK void pf_region_add(const void *at, size_t size, uint64_t rate, enum pf_site_kind kind)
{
	struct pf_live_entry entry;

	if (!pf_book_enter())
		return;
	pf_book_account_alloc(&entry, kind, size, rate);
	if (!put((uintptr_t)at, (uintptr_t)at + size, &entry))
		pf_book_account_free(&entry); /* better than in use for ever */
	pf_book_leave();
}

/* ---- taking, whole or in part ---- */

/* One mapping has become two. */
static PF_HOOK void split(uintptr_t start, uintptr_t end, const struct pf_live_entry *entry)
{
	struct pf_live_entry rest = *entry;

	rest.size = end - start;
	pf_site_add(pf_live_site(&rest), PF_SITE_OBJECTS, 0, rest.weight);
	if (!put(start, end, &rest))
		pf_book_account_free(&rest);
}

/* Of a claimed mapping, what lies in the range; then gives it back. */
static PF_HOOK struct pf_region_piece cut(
    struct region *r, uintptr_t start, uintptr_t from, uintptr_t to)
{
	uintptr_t end = r->end;
	struct pf_region_piece piece = {.entry = r->entry};

	piece.start = start > from ? start : from;
	piece.end = end < to ? end : to;
	piece.entry.size = piece.end - piece.start;
	piece.whole = piece.start == start && piece.end == end;
	if (piece.whole) {
		release(r, EMPTY);
		return piece;
	}
	if (piece.start > start && piece.end < end)
		split(piece.end, end, &r->entry);
	/* What is left here: what lies in front of the piece, or else what lies behind it. */
	if (piece.start > start)
		end = piece.start;
	else
		start = piece.end;
	__atomic_store_n(&r->end, end, __ATOMIC_RELAXED);
	r->entry.size = end - start;
	release(r, start);
	return piece;
}

static PF_HOOK void account(const struct pf_region_piece *piece)
{
	if (piece->whole)
		pf_book_account_free(&piece->entry);
	else
		pf_site_add_bytes(pf_live_site(&piece->entry), PF_SITE_FREED_BYTES,
		    piece->entry.size, piece->entry.weight);
}

PF_HOOK void pf_region_take(struct pf_region_taken *taken, const void *at, size_t size)
{
	uintptr_t from = (uintptr_t)at, to = from + size;
	uint32_t behind = __atomic_load_n(&used, __ATOMIC_ACQUIRE);

	taken->count = 0;
	taken->generation = behind ? pf_book_enter() : 0;
	if (!taken->generation)
		return;
	for (uint32_t i = 0; i < behind; i++) {
		struct region *r = &regions[i];
		uintptr_t start = __atomic_load_n(&r->start, __ATOMIC_ACQUIRE);
		struct pf_region_piece piece;

		if (start <= CLAIMED || start >= to ||
		    __atomic_load_n(&r->end, __ATOMIC_RELAXED) <= from || !claim(r, start))
			continue;
		if (r->end <= from) { /* another one at the same address meanwhile */
			release(r, start);
			continue;
		}
		piece = cut(r, start, from, to);
		if (taken->count < PF_REGION_PIECES)
			taken->pieces[taken->count++] = piece;
		else
			account(&piece); /* so many at once are hardly refused by the kernel */
	}
	pf_book_leave();
}

/* Is the book still the one they were taken from? */
static PF_HOOK bool enter_again(const struct pf_region_taken *taken)
{
	uint32_t generation;

	if (!taken->generation)
		return false;
	generation = pf_book_enter();
	if (generation && generation != taken->generation)
		pf_book_leave();
	return generation == taken->generation;
}

PF_HOOK void pf_region_taken_free(const struct pf_region_taken *taken)
{
	if (taken->count == 0 || !enter_again(taken))
		return;
	for (uint32_t i = 0; i < taken->count; i++)
		account(&taken->pieces[i]);
	pf_book_leave();
}

PF_HOOK void pf_region_taken_undo(const struct pf_region_taken *taken)
{
	if (taken->count == 0 || !enter_again(taken))
		return;
	for (uint32_t i = 0; i < taken->count; i++) {
		const struct pf_region_piece *piece = &taken->pieces[i];

		/* A part comes back as a mapping of its own. */
		if (!piece->whole)
			pf_site_add(
			    pf_live_site(&piece->entry), PF_SITE_OBJECTS, 0, piece->entry.weight);
		if (!put(piece->start, piece->end, &piece->entry))
			pf_book_account_free(&piece->entry);
	}
	pf_book_leave();
}

/* ---- as a whole ---- */

int pf_region_init(void)
{
	if (!regions)
		regions = pf_arena_map(REGIONS * sizeof(*regions));
	return regions ? 0 : -ENOMEM;
}

void pf_region_clear(void)
{
	if (regions)
		memset(regions, 0, used * sizeof(*regions));
	used = 0;
}

void pf_region_forget(void)
{
	struct pf_region_taken all;

	do {
		pf_region_take(&all, NULL, SIZE_MAX);
		pf_region_taken_free(&all);
	} while (all.count == PF_REGION_PIECES);
}

/* A moment's copy: the same address before and after it. */
void pf_region_for_each(pf_live_each_fn *each, void *arg)
{
	uint32_t behind = __atomic_load_n(&used, __ATOMIC_ACQUIRE);

	for (uint32_t i = 0; i < behind; i++) {
		const struct region *r = &regions[i];
		uintptr_t start = __atomic_load_n(&r->start, __ATOMIC_ACQUIRE);
		struct pf_live_entry entry;

		if (start <= CLAIMED)
			continue;
		entry.size = __atomic_load_n(&r->entry.size, __ATOMIC_RELAXED);
		entry.weight = __atomic_load_n(&r->entry.weight, __ATOMIC_RELAXED);
		entry.origin = __atomic_load_n(&r->entry.origin, __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (__atomic_load_n(&r->start, __ATOMIC_RELAXED) == start)
			each(arg, &entry);
	}
}
