/* Defined: the profiles that the program defines itself (proffs_profile_new), under custom/. */
#pragma once
#include "fs/table.h"

void pf_defined_list(struct pf_live *live, int key, pf_add_fn *add, void *to);
int pf_defined_find(struct pf_live *live, int key, const char *name, struct pf_found *out);
