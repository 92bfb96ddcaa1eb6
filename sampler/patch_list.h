/* Patch list: the relocations of all modules whose symbols have one of our names, as a whole scan found
 * them. Scans after that, of the same modules for the same names, look at these alone: a program has
 * thousands of relocations, a few dozen of which are ours, and is scanned again and again while it is new.
 *
 * One list, in the order of dl_iterate_phdr and of the modules' tables, guarded by patch.c's lock.
 */
#pragma once
#include "sampler/module.h"

#include <stdbool.h>
#include <stdint.h>

/* What a list is of: modules come and go with `adds` and `subs`, and names with what is switched on. */
struct pf_patch_list_of {
	unsigned long long adds, subs;
	uint64_t names; /* pf_patch_names_hash() */
};

/* Not good any more: another set is on. */
void pf_patch_list_drop(void);

/* A scan begins. True: there is a list of just this, to be taken from. False: one is being made, and what
 * is found is to be added. */
bool pf_patch_list_begin(const struct pf_patch_list_of *of);
void pf_patch_list_add(const ElfW(Rela) * relocation);

/* The next of the module's, or NULL. */
const ElfW(Rela) * pf_patch_list_next(const struct pf_module *m);

/* The scan has seen every module. */
void pf_patch_list_end(void);
