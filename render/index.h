/* Index: which number has this key? Numbers are given out 0, 1, 2... in the order of asking.
 *
 * A hash table of numbers only: the keys stay in the caller's own array, at their number. Open
 * addressing, the hash's upper half beside each number, so growing never asks the caller.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PF_INDEX_FULL = UINT32_MAX };

struct pf_index {
	struct pf_index_slot *slots;
	size_t slot_count; /* a power of two */
	uint32_t count;    /* numbers given out */
};

/* Is item `number` of `items` the one asked for? */
typedef bool pf_index_same_fn(const void *items, uint32_t number, const void *key);

void pf_index_finish(struct pf_index *index); /* frees, zeroes */

/* The key's number. When it equals what `count` was before the call, the key is new and the caller
 * must store it there. PF_INDEX_FULL without memory. */
uint32_t pf_index_put(struct pf_index *index, uint64_t hash, pf_index_same_fn *same,
    const void *items, const void *key);

/* The number of a key that was put before, or PF_INDEX_FULL. */
uint32_t pf_index_get(const struct pf_index *index, uint64_t hash, pf_index_same_fn *same,
    const void *items, const void *key);

uint64_t pf_hash_number(uint64_t number);
uint64_t pf_hash_bytes(const void *bytes, size_t length);
