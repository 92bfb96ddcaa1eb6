#include "sampler/heap_book.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/fetch.h"
#include "base/lock.h"
#include "sampler/heap_draw.h"
#include "sampler/heap_name.h"
#include "sampler/heap_region.h"
#include "sampler/shard.h"
#include "sampler/stack.h"

static const int64_t PATIENCE_NS = PF_NS_PER_SECOND;

static uint32_t open_generation PF_WARM; /* atomic; 0: closed */
static uint32_t last_generation;         /* of the last opening; enable's lock */
static int64_t opened_ns PF_WARM;        /* written before open_generation */

/* How many are writing, an atomic futex word each: threads share one only by chance, so that they
 * do not take a cache line from each other twice a sample. */
enum { DOORS = PF_SHARDS };
static struct door {
	uint32_t inside;
} __attribute__((aligned(64))) doors[DOORS];

PF_INLINE struct door *my_door(void)
{
	return &doors[pf_shard()];
}

/* The generation of the book, which stays as it is until leave(); 0: closed, not entered. */
PF_HOOK uint32_t pf_book_enter(void)
{
	uint32_t generation;

	__atomic_fetch_add(&my_door()->inside, 1, __ATOMIC_SEQ_CST);
	generation = __atomic_load_n(&open_generation, __ATOMIC_SEQ_CST);
	if (generation == 0)
		__atomic_fetch_sub(&my_door()->inside, 1, __ATOMIC_SEQ_CST);
	return generation;
}

PF_HOOK void pf_book_leave(void)
{
	__atomic_fetch_sub(&my_door()->inside, 1, __ATOMIC_SEQ_CST);
}

/* ---- blocks come and go ---- */

PF_HOOK void pf_book_account_free(const struct pf_live_entry *entry)
{
	uint64_t now_us = pf_book_clock(), born_us = pf_live_born_us(entry);

	pf_site_add(pf_live_site(entry), PF_SITE_FREED_OBJECTS, entry->size, entry->weight);
	pf_site_add_life(pf_live_site(entry), now_us > born_us ? now_us - born_us : 0);
	pf_count(PF_COUNTER_HEAP_FREES);
}

PF_HOOK void pf_book_account_alloc(
    struct pf_live_entry *entry, enum pf_site_kind kind, size_t size, uint64_t rate)
{
	struct pf_site_key key = {
	    .stack = pf_stack_capture_here(),
	    .class = (uint16_t)pf_site_class(size),
	    .kind = (uint16_t)kind,
	    .name = pf_name_here(),
	};
	uint32_t site = pf_site_find(&key);

	entry->size = size;
	entry->weight = pf_draw_weight(size, rate);
	entry->origin = pf_live_origin(site, pf_book_clock());
	pf_site_add(site, PF_SITE_OBJECTS, size, entry->weight);
	pf_count(PF_COUNTER_HEAP_SAMPLES);
}

/* Into the live table, and whoever had the address is gone. A block that does not fit counts as
 * freed: better than one that is in use for ever. */
static PF_HOOK void put(const void *at, const struct pf_live_entry *entry)
{
	struct pf_live_entry replaced;
	int rc = pf_live_insert(at, entry, &replaced);

	if (rc == 1) {
		/* When it was freed nobody knows: it has no life. */
		pf_site_add(
		    pf_live_site(&replaced), PF_SITE_FREED_OBJECTS, replaced.size, replaced.weight);
		pf_count(PF_COUNTER_HEAP_MISSED_FREES);
		pf_count_many(PF_COUNTER_HEAP_MISSED_ESTIMATE,
		    (replaced.weight + (1 << (PF_DRAW_WEIGHT_BITS - 1))) >> PF_DRAW_WEIGHT_BITS);
	} else if (rc < 0) {
		pf_site_add(pf_live_site(entry), PF_SITE_FREED_OBJECTS, entry->size, entry->weight);
		pf_count(PF_COUNTER_HEAP_LOST_TABLE);
	}
}

PF_HOOK void pf_book_expect(void)
{
	pf_fetch_to_write(my_door());
	pf_site_expect();
	pf_name_expect();
	pf_stack_expect();
}

PF_HOOK void pf_book_add(const void *at, size_t size, uint64_t rate)
{
	struct pf_live_entry entry;

	if (!pf_book_enter())
		return;
	pf_live_expect(at);
	pf_book_account_alloc(&entry, PF_SITE_MALLOC, size, rate);
	put(at, &entry);
	pf_book_leave();
}

PF_HOOK void pf_book_drop(const void *at)
{
	struct pf_live_entry entry;

	if (!pf_live_has(at) || !pf_book_enter())
		return;
	if (pf_live_remove(at, &entry))
		pf_book_account_free(&entry);
	pf_book_leave();
}

/* ---- realloc ---- */

PF_HOOK void pf_book_move_begin(struct pf_book_move *move, const void *at)
{
	move->generation = pf_book_enter();
	if (!move->generation)
		return;
	if (!pf_live_remove(at, &move->entry))
		move->generation = 0;
	pf_book_leave();
}

/* Is the book still the one that the block was taken from? */
static PF_HOOK bool enter_again(const struct pf_book_move *move)
{
	uint32_t generation;

	if (!move->generation)
		return false;
	generation = pf_book_enter();
	if (generation && generation != move->generation)
		pf_book_leave();
	return generation == move->generation;
}

PF_HOOK void pf_book_move_undo(const struct pf_book_move *move, const void *at)
{
	if (!enter_again(move))
		return;
	put(at, &move->entry);
	pf_book_leave();
}

PF_HOOK bool pf_book_move_stay(const struct pf_book_move *move, const void *at, size_t size)
{
	struct pf_live_entry entry = move->entry;

	if (!enter_again(move))
		return false;
	if (size > entry.size)
		pf_site_add_bytes(
		    pf_live_site(&entry), PF_SITE_BYTES, size - entry.size, entry.weight);
	else
		pf_site_add_bytes(
		    pf_live_site(&entry), PF_SITE_FREED_BYTES, entry.size - size, entry.weight);
	entry.size = size;
	put(at, &entry);
	pf_book_leave();
	return true;
}

PF_HOOK void pf_book_move_drop(const struct pf_book_move *move)
{
	if (!enter_again(move))
		return;
	pf_book_account_free(&move->entry);
	pf_book_leave();
}

/* ---- open, close ---- */

PF_HOOK uint64_t pf_book_clock(void)
{
	return (uint64_t)(pf_clock_now_ns() - opened_ns) / PF_NS_PER_US;
}

int64_t pf_book_opened_ns(void)
{
	return opened_ns;
}

/* They leave within microseconds and wake nobody, so look again every millisecond. Who does not
 * leave in a second has been taken out by longjmp from a signal handler, or waits for a page: what it
 * may still write is counted wrong, but in memory that is there for ever. */
static void wait_until_nobody_is_inside(void)
{
	int64_t deadline_ns = pf_clock_now_ns() + PATIENCE_NS;

	for (int i = 0; i < DOORS; i++) {
		uint32_t busy;

		while ((busy = __atomic_load_n(&doors[i].inside, __ATOMIC_SEQ_CST)) != 0) {
			int64_t now = pf_clock_now_ns();

			if (now >= deadline_ns)
				return;
			pf_futex_wait(&doors[i].inside, busy, now + PF_NS_PER_MS);
		}
	}
}

int pf_book_open(void)
{
	int rc;

	wait_until_nobody_is_inside();
	pf_live_clear();
	pf_region_clear();
	pf_site_clear();
	rc = pf_live_init();
	if (rc == 0)
		rc = pf_site_init();
	if (rc < 0)
		return rc;
	opened_ns = pf_clock_now_ns();
	if (++last_generation == 0)
		last_generation = 1;
	__atomic_store_n(&open_generation, last_generation, __ATOMIC_SEQ_CST);
	return 0;
}

void pf_book_close(void)
{
	__atomic_store_n(&open_generation, 0, __ATOMIC_SEQ_CST);
	wait_until_nobody_is_inside();
}

void pf_book_fork_child(bool stays)
{
	if (!stays)
		__atomic_store_n(&open_generation, 0, __ATOMIC_SEQ_CST);
	for (int i = 0; i < DOORS; i++)
		__atomic_store_n(&doors[i].inside, 0, __ATOMIC_SEQ_CST);
}

bool pf_book_is_open(void)
{
	return __atomic_load_n(&open_generation, __ATOMIC_SEQ_CST) != 0;
}
