#include "render/index.h"
#include "base/buf.h"

#include <string.h>

struct pf_index_slot {
	uint32_t mark;   /* the upper half of the hash */
	uint32_t number; /* + 1; 0: free */
};

void pf_index_finish(struct pf_index *index)
{
	pf_vec_free(index->slots, index->slot_count, sizeof(*index->slots));
	*index = (struct pf_index){0};
}

uint64_t pf_hash_number(uint64_t number)
{
	/* The finaliser of splitmix64: every bit of the number reaches every bit of the hash. */
	number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9ull;
	number = (number ^ (number >> 27)) * 0x94d049bb133111ebull;
	return number ^ (number >> 31);
}

uint64_t pf_hash_bytes(const void *bytes, size_t length)
{
	const unsigned char *at = bytes;
	uint64_t hash = 0xcbf29ce484222325ull; /* FNV-1a */

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ at[i]) * 0x100000001b3ull;
	return pf_hash_number(hash);
}

/* A slot is found by the mark, because that is all that growing knows of a key. */
static size_t first_slot(size_t slot_count, uint32_t mark)
{
	return (mark * 0x9e3779b97f4a7c15ull >> 16) & (slot_count - 1);
}

static void place(struct pf_index *index, struct pf_index_slot slot)
{
	size_t at = first_slot(index->slot_count, slot.mark);

	while (index->slots[at].number != 0)
		at = (at + 1) & (index->slot_count - 1);
	index->slots[at] = slot;
}

static bool grow(struct pf_index *index)
{
	struct pf_index grown = {.count = index->count};
	void *slots = NULL;

	/* pf_vec doubles from a power of two, so the count stays one. */
	if (pf_vec_reserve(&slots, &grown.slot_count, sizeof(*grown.slots),
		(size_t)index->slot_count * 2 + 2) < 0)
		return false;
	grown.slots = slots;
	memset(grown.slots, 0, grown.slot_count * sizeof(*grown.slots));
	for (size_t i = 0; i < index->slot_count; i++)
		if (index->slots[i].number != 0)
			place(&grown, index->slots[i]);
	pf_vec_free(index->slots, index->slot_count, sizeof(*index->slots));
	*index = grown;
	return true;
}

uint32_t pf_index_get(const struct pf_index *index, uint64_t hash, pf_index_same_fn *same,
    const void *items, const void *key)
{
	uint32_t mark = (uint32_t)(hash >> 32);
	size_t at;

	if (index->slot_count == 0)
		return PF_INDEX_FULL;
	at = first_slot(index->slot_count, mark);
	for (; index->slots[at].number != 0; at = (at + 1) & (index->slot_count - 1))
		if (index->slots[at].mark == mark && same(items, index->slots[at].number - 1, key))
			return index->slots[at].number - 1;
	return PF_INDEX_FULL;
}

uint32_t pf_index_put(struct pf_index *index, uint64_t hash, pf_index_same_fn *same,
    const void *items, const void *key)
{
	uint32_t number = pf_index_get(index, hash, same, items, key);

	if (number != PF_INDEX_FULL)
		return number;
	/* At most three quarters full: probes stay short, and one free slot ends them. */
	if ((index->count + 1) * 4ull > index->slot_count * 3ull && !grow(index))
		return PF_INDEX_FULL;
	number = index->count++;
	place(index, (struct pf_index_slot){(uint32_t)(hash >> 32), number + 1});
	return number;
}
