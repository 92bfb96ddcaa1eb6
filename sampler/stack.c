/* The book is in chunks of one size, in the order they were needed; a stack's id is the number of
 * its first word, counted through all chunks. Readers follow buckets -> id -> next id.
 *
 *   first[hash]   --> record {hash, next, count, pcs...} --> record
 *   buckets[hash] --> record --> record ...
 *
 * The first few thousand stacks have buckets on a few pages: a program that lives briefly would touch a new
 * page for nearly every stack. A chain there that is full stays as it is.
 *
 * A record is whole before an id leads to it (release), so whoever finds the id (acquire) may read
 * it. Two threads that bring the same new stack at once store it once: the second one to publish
 * looks again. Its own copy stays behind, unused: a few words, seldom.
 */
#include "sampler/stack.h"
#include "base/arena.h"
#include "base/counter.h"
#include "base/profile.h"
#include "sampler/past.h"

#include <stdbool.h>

#ifdef PF_SMALL
enum { CHUNK_WORDS = 2048, CHUNKS_MAX = 16, FIRST_BUCKETS = 4, BUCKETS = 16 };
#else
enum { CHUNK_WORDS = 128 * 1024, CHUNKS_MAX = 128, FIRST_BUCKETS = 1 << 12, BUCKETS = 1 << 16 };
#endif
enum { FIRST_CHAIN_MAX = 2 };

struct record {
	uint32_t hash;
	uint32_t next; /* id, 0 at the end; written before the record is published */
	uint32_t count;
	uint32_t generation; /* atomic; the addresses are what they were then, and perhaps since */
	uint64_t pcs[];
};

enum { RECORD_WORDS = sizeof(struct record) / sizeof(uint64_t) };

static uint32_t first[FIRST_BUCKETS];        /* atomic ids */
static uint32_t buckets[BUCKETS];            /* atomic ids */
static uint64_t *chunks[CHUNKS_MAX] PF_WARM; /* atomic */
static uint64_t next_word;                   /* atomic; the first free one, through all chunks */
static uint64_t stored_count;                /* atomic */
static const uint64_t overflow_pcs[1] = {PF_PC_STACK_STORE_FULL};

static PF_SIGSAFE struct record *record_of(uint32_t id)
{
	uint64_t *chunk = __atomic_load_n(&chunks[id / CHUNK_WORDS], __ATOMIC_ACQUIRE);

	return (struct record *)(chunk + id % CHUNK_WORDS);
}

static PF_SIGSAFE bool have_chunk(uint64_t number)
{
	uint64_t *none = NULL, *fresh;

	if (__atomic_load_n(&chunks[number], __ATOMIC_ACQUIRE))
		return true;
	fresh = pf_arena_map(CHUNK_WORDS * sizeof(*fresh));
	if (!fresh)
		return false;
	/* Somebody else may have been first: theirs it is. */
	if (!__atomic_compare_exchange_n(
		&chunks[number], &none, fresh, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		pf_arena_unmap(fresh, CHUNK_WORDS * sizeof(*fresh));
	return true;
}

/* An id with `words` behind it, all in one chunk; 0 when there is no room. */
static PF_SIGSAFE uint32_t take_words(uint64_t words)
{
	uint64_t old = __atomic_load_n(&next_word, __ATOMIC_RELAXED), start;

	do {
		start = old == 0 ? 1 : old; /* id 0 means overflow */
		if (start / CHUNK_WORDS != (start + words - 1) / CHUNK_WORDS)
			start = (start / CHUNK_WORDS + 1) * CHUNK_WORDS;
		if (start / CHUNK_WORDS >= CHUNKS_MAX || !have_chunk(start / CHUNK_WORDS))
			return 0;
	} while (!__atomic_compare_exchange_n(
	    &next_word, &old, start + words, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return (uint32_t)start;
}

/* One multiplication a frame, none of which waits for the one before. */
static PF_SIGSAFE uint32_t hash_of(const uint64_t *pcs, uint32_t count)
{
	uint64_t hash = count;

	for (uint32_t i = 0; i < count; i++)
		hash = (hash << 7 | hash >> 57) + pcs[i] * 0x9e3779b97f4a7c15ull;
	hash ^= hash >> 32;
	hash *= 0xd6e8feb86659fd93ull;
	return (uint32_t)(hash >> 32);
}

/* The record's addresses mean the same in two generations, and so at any time from now on that they
 * mean the same as in the later one. */
static PF_SIGSAFE void renew(struct record *record, uint32_t generation)
{
	uint32_t known = __atomic_load_n(&record->generation, __ATOMIC_RELAXED);

	while (known < generation && !__atomic_compare_exchange_n(&record->generation, &known,
					 generation, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
}

/* Is it the same code, in the generation `then` and in the record's? */
static PF_SIGSAFE bool is_same_code(struct record *record, uint32_t generation)
{
	uint32_t then = __atomic_load_n(&record->generation, __ATOMIC_ACQUIRE);

	if (PF_LIKELY(!pf_past_ended_since(then < generation ? then : generation)))
		return true;
	if (!pf_past_same(record->pcs, record->count, then, generation))
		return false;
	renew(record, generation);
	return true;
}

/* The id of the same stack in the chain [id, end), or `end`. */
static PF_SIGSAFE uint32_t find(uint32_t id, uint32_t end, uint32_t hash, const uint64_t *pcs,
    uint32_t count, uint32_t generation)
{
	struct record *record;
	uint32_t i;

	for (; id != end; id = record->next) {
		record = record_of(id);
		if (record->hash != hash || record->count != count)
			continue;
		for (i = 0; i < count && record->pcs[i] == pcs[i]; i++)
			;
		if (i == count && is_same_code(record, generation))
			return id;
	}
	return end;
}

static PF_SIGSAFE uint32_t store(
    uint32_t hash, const uint64_t *pcs, uint32_t count, uint32_t generation)
{
	uint32_t id = take_words(RECORD_WORDS + count);
	struct record *record;

	if (id == 0) {
		pf_count(PF_COUNTER_STACK_OVERFLOW);
		return PF_STACK_OVERFLOW;
	}
	record = record_of(id);
	record->hash = hash;
	record->count = count;
	record->generation = generation;
	for (uint32_t i = 0; i < count; i++) {
		record->pcs[i] = pcs[i];
		__asm__ volatile("" ::: "memory"); /* stays a loop: memcpy is no call of ours */
	}
	return id;
}

/* Is the chain from a first bucket as long as it gets? */
static PF_SIGSAFE bool is_full(uint32_t id)
{
	uint32_t length = 0;

	for (; id != 0 && length < FIRST_CHAIN_MAX; id = record_of(id)->next)
		length++;
	return length == FIRST_CHAIN_MAX;
}

PF_SIGSAFE uint32_t pf_stack_intern_of(const uint64_t *pcs, uint32_t count, uint32_t generation)
{
	uint32_t hash, fresh = 0, head, seen = 0, id;
	uint32_t *bucket;

	if (count > PF_STACK_DEPTH_MAX + 1)
		count = PF_STACK_DEPTH_MAX + 1;
	hash = hash_of(pcs, count);
	bucket = &first[hash % FIRST_BUCKETS];
	for (;;) {
		head = __atomic_load_n(bucket, __ATOMIC_ACQUIRE);
		/* What was there at the last look does not match; only newer ones may. */
		id = find(head, seen, hash, pcs, count, generation);
		if (id != seen)
			return id;
		seen = head;
		if (bucket == &first[hash % FIRST_BUCKETS] && is_full(head)) {
			bucket = &buckets[hash % BUCKETS];
			seen = 0;
			continue;
		}
		if (fresh == 0)
			fresh = store(hash, pcs, count, generation);
		if (fresh == 0)
			return PF_STACK_OVERFLOW;
		record_of(fresh)->next = head;
		if (__atomic_compare_exchange_n(
			bucket, &head, fresh, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
			break;
	}
	__atomic_fetch_add(&stored_count, 1, __ATOMIC_RELAXED);
	return fresh;
}

PF_SIGSAFE uint32_t pf_stack_intern(const uint64_t *pcs, uint32_t count)
{
	return pf_stack_intern_of(pcs, count, pf_past_now());
}

/* The id of the stack as it is to be shown now that modules have ended: itself, or one of those that
 * have addresses of closed modules in their graves. */
static uint32_t moved(uint32_t id)
{
	struct record *record = record_of(id);
	uint32_t then = __atomic_load_n(&record->generation, __ATOMIC_ACQUIRE), now = pf_past_now();
	uint64_t pcs[PF_STACK_DEPTH_MAX + 1];
	bool same = true;

	for (uint32_t i = 0; i < record->count; i++) {
		pcs[i] = pf_past_place(record->pcs[i], then, then);
		same = same && pcs[i] == record->pcs[i];
	}
	if (!same)
		return pf_stack_intern_of(pcs, record->count, now);
	renew(record, now);
	return id;
}

static PF_TLS uint32_t reads_since;

uint32_t pf_stack_reads_since(void)
{
	uint32_t since = reads_since;

	reads_since = 0;
	return since;
}

uint32_t pf_stack_read(uint32_t id, const uint64_t **pcs)
{
	const struct record *record;

	if (reads_since == 0)
		reads_since = pf_past_now();
	if (id != PF_STACK_OVERFLOW &&
	    pf_past_ended_since(__atomic_load_n(&record_of(id)->generation, __ATOMIC_ACQUIRE)))
		id = moved(id);
	if (id == PF_STACK_OVERFLOW) {
		*pcs = overflow_pcs;
		return 1;
	}
	record = record_of(id);
	*pcs = record->pcs;
	return record->count;
}

void pf_stack_usage(size_t *bytes, size_t *count)
{
	*bytes = __atomic_load_n(&next_word, __ATOMIC_RELAXED) * sizeof(uint64_t);
	*count = __atomic_load_n(&stored_count, __ATOMIC_RELAXED);
}
