/* Places: every address that a profile's samples use, once, numbered in the order of first use.
 *
 * The profile stays the owner of everything pointed to, and must not change meanwhile.
 */
#pragma once
#include "base/profile.h"
#include "render/index.h"

struct pf_place {
	uint64_t address;
	const struct pf_location *location; /* NULL: names were never looked up */
	const struct pf_mapping *mapping;   /* NULL: in none */
};

struct pf_places {
	struct pf_place *items;
	size_t capacity;
	struct pf_index index; /* its count is ours */
};

/* 0 or -ENOMEM; to be finished in both cases. */
int pf_places_init(struct pf_places *places, const struct pf_profile *p);
void pf_places_finish(struct pf_places *places);

/* The number of an address that some sample uses. */
uint32_t pf_places_find(const struct pf_places *places, uint64_t address);

/* "/usr/lib/libz.so.1" -> "libz.so.1"; "" for no path. */
const char *pf_place_basename(const char *path);
