#include "render/place.h"
#include "base/buf.h"

#include <errno.h>
#include <string.h>

static bool same_address(const void *items, uint32_t number, const void *key)
{
	return ((const struct pf_place *)items)[number].address == *(const uint64_t *)key;
}

static const struct pf_mapping *mapping_of(
    const struct pf_profile *p, const struct pf_location *location, uint64_t address)
{
	if (!location)
		return pf_profile_mapping(p, address);
	return location->mapping ? &p->mappings[location->mapping - 1] : NULL;
}

static int add(struct pf_places *places, const struct pf_profile *p, uint64_t address)
{
	const struct pf_location *location;
	uint32_t before = places->index.count;
	uint32_t number = pf_index_put(
	    &places->index, pf_hash_number(address), same_address, places->items, &address);

	if (number == PF_INDEX_FULL)
		return -ENOMEM;
	if (number < before)
		return 0;
	if (pf_vec_reserve((void **)&places->items, &places->capacity, sizeof(*places->items),
		(size_t)number + 1) < 0)
		return -ENOMEM;
	location = pf_profile_location(p, address);
	places->items[number] =
	    (struct pf_place){address, location, mapping_of(p, location, address)};
	return 0;
}

int pf_places_init(struct pf_places *places, const struct pf_profile *p)
{
	*places = (struct pf_places){0};
	for (size_t i = 0; i < p->sample_count; i++) {
		const struct pf_sample *s = &p->samples[i];

		for (uint32_t k = 0; k < s->pc_count; k++) {
			int rc = add(places, p, p->pcs[s->pc_first + k]);

			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

void pf_places_finish(struct pf_places *places)
{
	pf_vec_free(places->items, places->capacity, sizeof(*places->items));
	pf_index_finish(&places->index);
	*places = (struct pf_places){0};
}

uint32_t pf_places_find(const struct pf_places *places, uint64_t address)
{
	return pf_index_get(
	    &places->index, pf_hash_number(address), same_address, places->items, &address);
}

const char *pf_place_basename(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}
