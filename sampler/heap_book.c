#include "sampler/heap_book.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/lock.h"
#include "sampler/heap_draw.h"
#include "sampler/heap_site.h"
#include "sampler/stack.h"

static const int64_t PATIENCE_NS = PF_NS_PER_SECOND;

static uint32_t open_generation; /* atomic; 0: closed */
static uint32_t last_generation; /* of the last opening; enable's lock */
static uint32_t inside;          /* atomic futex word: how many are writing */
static int64_t opened_ns;        /* written before open_generation */

/* The generation of the book, which stays as it is until leave(); 0: closed, not entered. */
static PF_HOOK uint32_t enter(void)
{
	uint32_t generation;

	__atomic_fetch_add(&inside, 1, __ATOMIC_SEQ_CST);
	generation = __atomic_load_n(&open_generation, __ATOMIC_SEQ_CST);
	if (generation == 0)
		__atomic_fetch_sub(&inside, 1, __ATOMIC_SEQ_CST);
	return generation;
}

static PF_HOOK void leave(void)
{
	__atomic_fetch_sub(&inside, 1, __ATOMIC_SEQ_CST);
}

/* ---- blocks come and go ---- */

static PF_HOOK void account_free(const struct pf_live_entry *entry)
{
	pf_site_add(entry->site, PF_SITE_FREED_OBJECTS, entry->size, entry->weight);
	pf_count(PF_COUNTER_HEAP_FREES);
}

/* Into the live table, and whoever had the address is gone. A block that does not fit counts as
 * freed: better than one that is in use for ever. */
static PF_HOOK void put(const void *at, const struct pf_live_entry *entry)
{
	struct pf_live_entry replaced;
	int rc = pf_live_insert(at, entry, &replaced);

	if (rc == 1) {
		account_free(&replaced);
		pf_count(PF_COUNTER_HEAP_MISSED_FREES);
	} else if (rc < 0) {
		pf_site_add(entry->site, PF_SITE_FREED_OBJECTS, entry->size, entry->weight);
		pf_count(PF_COUNTER_HEAP_LOST_TABLE);
	}
}

PF_HOOK void pf_book_add(const void *at, size_t size, uint64_t rate)
{
	struct pf_live_entry entry = {.size = size};

	if (!enter())
		return;
	entry.born = pf_book_clock();
	entry.weight = pf_draw_weight(size, rate);
	entry.site = pf_site_find(pf_stack_capture_here(), size);
	pf_site_add(entry.site, PF_SITE_OBJECTS, size, entry.weight);
	put(at, &entry);
	pf_count(PF_COUNTER_HEAP_SAMPLES);
	leave();
}

PF_HOOK void pf_book_drop(const void *at)
{
	struct pf_live_entry entry;

	if (!enter())
		return;
	if (pf_live_remove(at, &entry))
		account_free(&entry);
	leave();
}

/* ---- realloc ---- */

PF_HOOK void pf_book_move_begin(struct pf_book_move *move, const void *at)
{
	move->generation = enter();
	if (!move->generation)
		return;
	if (!pf_live_remove(at, &move->entry))
		move->generation = 0;
	leave();
}

/* Is the book still the one that the block was taken from? */
static PF_HOOK bool enter_again(const struct pf_book_move *move)
{
	uint32_t generation;

	if (!move->generation)
		return false;
	generation = enter();
	if (generation && generation != move->generation)
		leave();
	return generation == move->generation;
}

PF_HOOK void pf_book_move_undo(const struct pf_book_move *move, const void *at)
{
	if (!enter_again(move))
		return;
	put(at, &move->entry);
	leave();
}

PF_HOOK bool pf_book_move_stay(const struct pf_book_move *move, const void *at, size_t size)
{
	struct pf_live_entry entry = move->entry;

	if (!enter_again(move))
		return false;
	if (size > entry.size)
		pf_site_add_bytes(entry.site, PF_SITE_BYTES, size - entry.size, entry.weight);
	else
		pf_site_add_bytes(entry.site, PF_SITE_FREED_BYTES, entry.size - size, entry.weight);
	entry.size = size;
	put(at, &entry);
	leave();
	return true;
}

PF_HOOK void pf_book_move_drop(const struct pf_book_move *move)
{
	if (!enter_again(move))
		return;
	account_free(&move->entry);
	leave();
}

/* ---- open, close ---- */

PF_HOOK uint32_t pf_book_clock(void)
{
	/* Coarse: it may lag behind the clock that opened the book. */
	int64_t age_ns = pf_clock_ns(CLOCK_MONOTONIC_COARSE) - opened_ns;

	return age_ns < 0 ? 0 : (uint32_t)(age_ns / (10 * PF_NS_PER_MS));
}

/* They leave within microseconds and wake nobody, so look again every millisecond. Who does not
 * leave in a second has been taken out by longjmp from a signal handler, or waits for a page: what it
 * may still write is counted wrong, but in memory that is there for ever. */
static void wait_until_nobody_is_inside(void)
{
	int64_t deadline_ns = pf_clock_now_ns() + PATIENCE_NS;
	uint32_t busy;

	while ((busy = __atomic_load_n(&inside, __ATOMIC_SEQ_CST)) != 0) {
		int64_t now = pf_clock_now_ns();

		if (now >= deadline_ns)
			return;
		pf_futex_wait(&inside, busy, now + PF_NS_PER_MS);
	}
}

int pf_book_open(void)
{
	int rc;

	wait_until_nobody_is_inside();
	pf_live_clear();
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

void pf_book_fork_child(void)
{
	__atomic_store_n(&open_generation, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&inside, 0, __ATOMIC_SEQ_CST);
}

bool pf_book_is_open(void)
{
	return __atomic_load_n(&open_generation, __ATOMIC_SEQ_CST) != 0;
}
