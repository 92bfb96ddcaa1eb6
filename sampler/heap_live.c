#include "sampler/heap_live.h"
#include "base/arena.h"
#include "base/fetch.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#ifdef PF_SMALL
enum { FIRST_BUCKETS = 4, SECOND_BUCKETS = 8, TABLES_MAX = 13 };
#else
enum { FIRST_BUCKETS = 256, SECOND_BUCKETS = 1024, TABLES_MAX = 11 };
#endif
enum { BUCKET = 8, PAGE = 1 << PF_LIVE_PAGE_SHIFT };

static const uintptr_t EMPTY = 0;
static const uintptr_t CLAIMED = 1;
static const uint8_t FILTER_STUCK = UINT8_MAX;

/* Words, and behind them the entries, in one mapping. The first table is small, for programs that live briefly
 * touch nearly a new page for each block; from the second on each is twice as large as the last. */
static struct table {
	uintptr_t *words; /* atomic; once, in order of tables */
	bool spilled;     /* atomic; some block has stood outside its page's bucket */
} tables[TABLES_MAX] PF_WARM;

__attribute__((aligned(PAGE))) uint8_t pf_live_filter[PF_LIVE_FILTER_PAGES];

/* ---- the filter ---- */

static PF_HOOK void filter_add(const void *at)
{
	uint8_t *byte = &pf_live_filter[pf_live_page(at)];
	uint8_t was = __atomic_load_n(byte, __ATOMIC_RELAXED);

	while (was != FILTER_STUCK && !__atomic_compare_exchange_n(byte, &was, was + 1, true,
					  __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

/* A byte that has been full stays so: how many there were is not known any more. */
static PF_HOOK void filter_drop(const void *at)
{
	uint8_t *byte = &pf_live_filter[pf_live_page(at)];
	uint8_t was = __atomic_load_n(byte, __ATOMIC_RELAXED);

	while (was != FILTER_STUCK && was != 0 &&
	       !__atomic_compare_exchange_n(
		   byte, &was, was - 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

/* ---- the tables ---- */

PF_INLINE size_t bucket_count(int k)
{
	return k == 0 ? FIRST_BUCKETS : (size_t)SECOND_BUCKETS << (k - 1);
}

PF_INLINE size_t table_bytes(int k)
{
	return bucket_count(k) * BUCKET * (sizeof(uintptr_t) + sizeof(struct pf_live_entry));
}

/* Table k's words, or NULL: it is not there. */
PF_INLINE uintptr_t *words_of(int k)
{
	return __atomic_load_n(&tables[k].words, __ATOMIC_ACQUIRE);
}

/* The same, made if it is not there; NULL: no memory. */
static PF_HOOK uintptr_t *table_at(int k)
{
	uintptr_t *words = words_of(k), *other = NULL;

	if (words)
		return words;
	words = pf_arena_map(table_bytes(k));
	if (!words)
		return NULL;
	if (__atomic_compare_exchange_n(
		&tables[k].words, &other, words, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return words;
	pf_arena_unmap(words, table_bytes(k)); /* another thread was first */
	return other;
}

PF_INLINE struct pf_live_entry *entry_of(int k, const uintptr_t *word)
{
	uintptr_t *words = words_of(k);

	return (struct pf_live_entry *)(words + bucket_count(k) * BUCKET) + (word - words);
}

PF_INLINE uintptr_t *bucket_of(uintptr_t *words, int k, uint64_t number, int next)
{
	uint64_t hash = (number * 0x9e3779b97f4a7c15ull >> 32) + (uint64_t)next;

	return &words[(hash & (bucket_count(k) - 1)) * BUCKET];
}

/* The bucket of a block's page, which the frees of other blocks of that page keep warm. */
PF_INLINE uintptr_t *page_bucket(uintptr_t *words, int k, const void *at)
{
	return bucket_of(words, k, (uintptr_t)at >> PF_LIVE_PAGE_SHIFT, 0);
}

/* Its own two, for pages with many: blocks are at least 16 bytes apart. */
PF_INLINE uintptr_t *own_bucket(uintptr_t *words, int k, const void *at, int next)
{
	return bucket_of(words, k, (uintptr_t)at >> 4, next);
}

/* The word of the bucket that holds `value`, or NULL. */
PF_INLINE uintptr_t *find_in(uintptr_t *bucket, uintptr_t value)
{
	for (int n = 0; n < BUCKET; n++)
		if (__atomic_load_n(&bucket[n], __ATOMIC_RELAXED) == value)
			return &bucket[n];
	return NULL;
}

/* The same, and it is the caller's alone now. An empty one is taken without a look: a look at a page
 * that was never written is a page fault of its own, in front of the one for writing. */
PF_INLINE uintptr_t *claim_in(uintptr_t *bucket, uintptr_t value)
{
	for (int n = 0; n < BUCKET; n++) {
		uintptr_t was = value;

		if (value != EMPTY && __atomic_load_n(&bucket[n], __ATOMIC_RELAXED) != value)
			continue;
		if (__atomic_compare_exchange_n(
			&bucket[n], &was, CLAIMED, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return &bucket[n];
	}
	return NULL;
}

PF_INLINE uintptr_t *claim_in_own(uintptr_t *words, int k, const void *at, uintptr_t value)
{
	uintptr_t *word = claim_in(own_bucket(words, k, at, 0), value);

	return word ? word : claim_in(own_bucket(words, k, at, 1), value);
}

PF_INLINE bool has_spilled(int k)
{
	return __atomic_load_n(&tables[k].spilled, __ATOMIC_RELAXED);
}

/* Claims the block's own word, in table *k; NULL: it is not here. */
static PF_HOOK uintptr_t *claim_known(const void *at, int *k)
{
	for (*k = 0; *k < TABLES_MAX; ++*k) {
		uintptr_t *words = words_of(*k), *word;

		if (!words)
			return NULL;
		word = claim_in(page_bucket(words, *k, at), (uintptr_t)at);
		if (!word && has_spilled(*k))
			word = claim_in_own(words, *k, at, (uintptr_t)at);
		if (word)
			return word;
	}
	return NULL;
}

static PF_HOOK uintptr_t *claim_empty(const void *at, int *k)
{
	for (*k = 0; *k < TABLES_MAX; ++*k) {
		uintptr_t *words = table_at(*k), *word;

		if (!words)
			return NULL;
		word = claim_in(page_bucket(words, *k, at), EMPTY);
		if (word)
			return word;
		/* Before the block is in: whoever frees it has its address from here on. */
		if (!has_spilled(*k))
			__atomic_store_n(&tables[*k].spilled, true, __ATOMIC_RELAXED);
		word = claim_in_own(words, *k, at, EMPTY);
		if (word)
			return word;
	}
	return NULL;
}

PF_HOOK void pf_live_expect(const void *at)
{
	uintptr_t *words = words_of(0), *bucket;

	if (!words)
		return;
	bucket = page_bucket(words, 0, at);
	pf_fetch_to_write(&pf_live_filter[pf_live_page(at)]);
	pf_fetch_to_write(bucket);
	pf_fetch_to_write(entry_of(0, bucket));
}

PF_HOOK bool pf_live_has(const void *at)
{
	for (int k = 0; at && k < TABLES_MAX; k++) {
		uintptr_t *words = words_of(k);

		if (!words)
			return false;
		if (find_in(page_bucket(words, k, at), (uintptr_t)at))
			return true;
		if (PF_UNLIKELY(has_spilled(k)) &&
		    (find_in(own_bucket(words, k, at, 0), (uintptr_t)at) ||
			find_in(own_bucket(words, k, at, 1), (uintptr_t)at)))
			return true;
	}
	return false;
}

PF_HOOK int pf_live_insert(
    const void *at, const struct pf_live_entry *entry, struct pf_live_entry *replaced)
{
	int k;
	uintptr_t *word = pf_live_maybe(at) ? claim_known(at, &k) : NULL;
	int rc = word != NULL;

	if (word) {
		*replaced = *entry_of(k, word);
	} else {
		word = claim_empty(at, &k);
		if (!word)
			return -ENOSPC;
		filter_add(at);
	}
	*entry_of(k, word) = *entry;
	__atomic_store_n(word, (uintptr_t)at, __ATOMIC_RELEASE);
	return rc;
}

PF_HOOK bool pf_live_remove(const void *at, struct pf_live_entry *out)
{
	int k;
	uintptr_t *word = at ? claim_known(at, &k) : NULL;

	if (!word)
		return false;
	*out = *entry_of(k, word);
	__atomic_store_n(word, EMPTY, __ATOMIC_RELEASE);
	filter_drop(at);
	return true;
}

/* ---- as a whole ---- */

int pf_live_init(void)
{
	return table_at(0) ? 0 : -ENOMEM;
}

void pf_live_clear(void)
{
	for (int k = 0; k < TABLES_MAX && tables[k].words; k++) {
		memset(tables[k].words, 0, bucket_count(k) * BUCKET * sizeof(uintptr_t));
		tables[k].spilled = false;
	}
	/* Mostly never touched: give the pages back rather than touch them all. */
	if (madvise(pf_live_filter, sizeof(pf_live_filter), MADV_DONTNEED) != 0)
		memset(pf_live_filter, 0, sizeof(pf_live_filter));
}

/* Its entry, if it is the same block before and after the copy. */
static bool copy_entry(int k, const uintptr_t *word, struct pf_live_entry *out)
{
	uintptr_t at = __atomic_load_n(word, __ATOMIC_ACQUIRE);
	const struct pf_live_entry *entry = entry_of(k, word);

	if (at <= CLAIMED)
		return false;
	out->size = __atomic_load_n(&entry->size, __ATOMIC_RELAXED);
	out->weight = __atomic_load_n(&entry->weight, __ATOMIC_RELAXED);
	out->origin = __atomic_load_n(&entry->origin, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(word, __ATOMIC_RELAXED) == at;
}

void pf_live_for_each(pf_live_each_fn *each, void *arg)
{
	struct pf_live_entry entry;

	for (int k = 0; k < TABLES_MAX; k++) {
		const uintptr_t *words = words_of(k);

		for (size_t i = 0; words && i < bucket_count(k) * BUCKET; i++)
			if (copy_entry(k, &words[i], &entry))
				each(arg, &entry);
	}
}

static void count_one(void *count, const struct pf_live_entry *entry)
{
	++*(uint64_t *)count;
}

uint64_t pf_live_count(void)
{
	uint64_t count = 0;

	pf_live_for_each(count_one, &count);
	return count;
}
