#include "sampler/heap_live.h"
#include "base/arena.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#ifdef PF_SMALL
enum { FIRST_BUCKETS = 4, TABLES_MAX = 13 };
#else
enum { FIRST_BUCKETS = 4096, TABLES_MAX = 8 };
#endif
enum { BUCKET = 8, PAGE = 4096 };

static const uintptr_t EMPTY = 0;
static const uintptr_t CLAIMED = 1;
static const uint8_t FILTER_STUCK = UINT8_MAX;

/* Table k has FIRST_BUCKETS << k buckets: the words, then the entries, in one mapping. */
struct table {
	uintptr_t *words;
	struct pf_live_entry *entries;
};

static struct table *tables[TABLES_MAX]; /* atomic; each once, in order */

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
	return (size_t)FIRST_BUCKETS << k;
}

PF_INLINE size_t table_bytes(int k)
{
	return BUCKET * sizeof(uintptr_t) +
	       bucket_count(k) * BUCKET * (sizeof(uintptr_t) + sizeof(struct pf_live_entry));
}

/* Table k, made if it is not there; NULL: no memory. */
static PF_HOOK struct table *table_at(int k)
{
	struct table *table = __atomic_load_n(&tables[k], __ATOMIC_ACQUIRE);
	struct table *other = NULL;

	if (table)
		return table;
	table = pf_arena_map(table_bytes(k));
	if (!table)
		return NULL;
	/* Words first, on a cache line of their own. */
	table->words = (uintptr_t *)table + BUCKET;
	table->entries = (struct pf_live_entry *)(table->words + bucket_count(k) * BUCKET);
	if (__atomic_compare_exchange_n(
		&tables[k], &other, table, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return table;
	pf_arena_unmap(table, table_bytes(k)); /* another thread was first */
	return other;
}

/* Where the block's bucket begins. Blocks are at least 16 bytes apart. */
PF_INLINE size_t first_word(const void *at, int k)
{
	uint64_t hash = ((uintptr_t)at >> 4) * 0x9e3779b97f4a7c15ull;

	return (hash >> 32) % bucket_count(k) * BUCKET;
}

/* The n-th word to look at: the bucket's, then the next bucket's. */
PF_INLINE size_t word_at(size_t first, size_t n, int k)
{
	return (first + n) % (bucket_count(k) * BUCKET);
}

/* Claims a word that holds `value`; NULL: there is none in this table. */
static PF_HOOK uintptr_t *claim_in(
    const struct table *table, int k, const void *at, uintptr_t value)
{
	size_t first = first_word(at, k);

	for (size_t n = 0; n < 2 * BUCKET; n++) {
		uintptr_t *word = &table->words[word_at(first, n, k)];
		uintptr_t was = value;

		if (__atomic_load_n(word, __ATOMIC_RELAXED) == value &&
		    __atomic_compare_exchange_n(
			word, &was, CLAIMED, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return word;
	}
	return NULL;
}

/* Claims the block's own word; NULL: it is not here. */
static PF_HOOK uintptr_t *claim_known(const void *at, struct table **table)
{
	for (int k = 0; k < TABLES_MAX; k++) {
		uintptr_t *word;

		*table = __atomic_load_n(&tables[k], __ATOMIC_ACQUIRE);
		if (!*table)
			return NULL;
		word = claim_in(*table, k, at, (uintptr_t)at);
		if (word)
			return word;
	}
	return NULL;
}

static PF_HOOK uintptr_t *claim_empty(const void *at, struct table **table)
{
	for (int k = 0; k < TABLES_MAX; k++) {
		uintptr_t *word;

		*table = table_at(k);
		if (!*table)
			return NULL;
		word = claim_in(*table, k, at, EMPTY);
		if (word)
			return word;
	}
	return NULL;
}

PF_HOOK int pf_live_insert(
    const void *at, const struct pf_live_entry *entry, struct pf_live_entry *replaced)
{
	struct table *table;
	uintptr_t *word = pf_live_maybe(at) ? claim_known(at, &table) : NULL;
	int rc = word != NULL;

	if (word) {
		*replaced = table->entries[word - table->words];
	} else {
		word = claim_empty(at, &table);
		if (!word)
			return -ENOSPC;
		filter_add(at);
	}
	table->entries[word - table->words] = *entry;
	__atomic_store_n(word, (uintptr_t)at, __ATOMIC_RELEASE);
	return rc;
}

PF_HOOK bool pf_live_remove(const void *at, struct pf_live_entry *out)
{
	struct table *table;
	uintptr_t *word = at ? claim_known(at, &table) : NULL;

	if (!word)
		return false;
	*out = table->entries[word - table->words];
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
	for (int k = 0; k < TABLES_MAX && tables[k]; k++)
		memset(tables[k]->words, 0, bucket_count(k) * BUCKET * sizeof(uintptr_t));
	/* Mostly never touched: give the pages back rather than touch them all. */
	if (madvise(pf_live_filter, sizeof(pf_live_filter), MADV_DONTNEED) != 0)
		memset(pf_live_filter, 0, sizeof(pf_live_filter));
}

/* Its entry, if it is the same block before and after the copy. */
static bool copy_entry(const struct table *table, size_t i, struct pf_live_entry *out)
{
	uintptr_t at = __atomic_load_n(&table->words[i], __ATOMIC_ACQUIRE);
	const struct pf_live_entry *entry = &table->entries[i];

	if (at <= CLAIMED)
		return false;
	out->size = __atomic_load_n(&entry->size, __ATOMIC_RELAXED);
	out->weight = __atomic_load_n(&entry->weight, __ATOMIC_RELAXED);
	out->origin = __atomic_load_n(&entry->origin, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&table->words[i], __ATOMIC_RELAXED) == at;
}

void pf_live_for_each(pf_live_each_fn *each, void *arg)
{
	struct pf_live_entry entry;

	for (int k = 0; k < TABLES_MAX; k++) {
		const struct table *table = __atomic_load_n(&tables[k], __ATOMIC_ACQUIRE);

		for (size_t i = 0; table && i < bucket_count(k) * BUCKET; i++)
			if (copy_entry(table, i, &entry))
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
