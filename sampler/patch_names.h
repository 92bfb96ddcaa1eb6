/* Patch names: is this symbol one of those that the sets of patch.c want? Asked for each function
 * slot of the process, so nearly always answered by the first letters.
 *
 * One table, filled before a scan and cleared after it, guarded by patch.c's lock.
 */
#pragma once
#include "sampler/patch.h"

#include <stdbool.h>
#include <stdint.h>

struct pf_patch_name {
	struct pf_patch_set *set;
	const struct pf_patch *patch;
	size_t index; /* of the patch in the set */
};

/* The patches of a set whose real function is known. */
void pf_patch_names_add(struct pf_patch_set *set);
void pf_patch_names_clear(void);
/* Of which names there are, in whatever order. */
uint64_t pf_patch_names_hash(void);
bool pf_patch_names_find(const char *symbol, struct pf_patch_name *out);
