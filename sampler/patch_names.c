#include "sampler/patch_names.h"
#include "base/counter.h"

#include <stdint.h>
#include <string.h>

enum { NAMES_MAX = 256, BUCKETS = 512, START_BITS = 4096, START_LENGTH = 4 };

static struct pf_patch_name names[NAMES_MAX];
static size_t name_count;
static uint16_t buckets[BUCKETS]; /* index + 1 */
static uint64_t starts[START_BITS / 64];
static uint64_t all; /* sum of the hashes of all */

static uint32_t hash(const char *text, size_t most)
{
	uint32_t h = 5381;

	for (size_t i = 0; i < most && text[i]; i++)
		h = h * 33 + (unsigned char)text[i];
	return h;
}

static uint32_t start_bit(const char *symbol)
{
	uint32_t h = hash(symbol, START_LENGTH);

	return (h ^ h >> 12) % START_BITS;
}

static void add(struct pf_patch_set *set, size_t index)
{
	const struct pf_patch *patch = &set->patches[index];
	uint32_t bit = start_bit(patch->symbol);
	uint32_t whole = hash(patch->symbol, SIZE_MAX), bucket = whole % BUCKETS;

	if (name_count == NAMES_MAX) {
		pf_count(PF_COUNTER_PATCH_REFUSED);
		return;
	}
	names[name_count++] = (struct pf_patch_name){set, patch, index};
	while (buckets[bucket])
		bucket = (bucket + 1) % BUCKETS;
	buckets[bucket] = (uint16_t)name_count;
	starts[bit / 64] |= 1ull << bit % 64;
	all += (whole + 1) * 0x9e3779b97f4a7c15ull;
}

void pf_patch_names_add(struct pf_patch_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		if (*set->patches[i].real)
			add(set, i);
}

void pf_patch_names_clear(void)
{
	name_count = 0;
	all = 0;
	memset(buckets, 0, sizeof(buckets));
	memset(starts, 0, sizeof(starts));
}

uint64_t pf_patch_names_hash(void)
{
	return all;
}

bool pf_patch_names_find(const char *symbol, struct pf_patch_name *out)
{
	uint32_t bit = start_bit(symbol);
	uint32_t bucket;

	if (!(starts[bit / 64] >> bit % 64 & 1))
		return false;
	bucket = hash(symbol, SIZE_MAX) % BUCKETS;
	for (; buckets[bucket]; bucket = (bucket + 1) % BUCKETS) {
		*out = names[buckets[bucket] - 1];
		if (strcmp(out->patch->symbol, symbol) == 0)
			return true;
	}
	return false;
}
