/* Defined: the profiles that the program defines itself (proffs_profile_new), under custom/. To the
 * renderers they are profiles like the others: in every form, and asked like them: connections?n=5.
 */
#pragma once
#include "fs/table.h"

#include <stdint.h>

/* What they have in common: a row that is in no table. */
extern const struct pf_profile_row pf_defined_row;

/* By number, from 0: a name that lives for ever; NULL: there are no more. */
const char *pf_defined_name(const struct pf_live *live, uint32_t number);
/* Collects and names: 0 or -errno; pf_profile_finish(out) in every case. */
int pf_defined_make(struct pf_live *live, uint32_t number, struct pf_profile *out);

/* Rows of fs/table.c. */
int pf_defined_list(struct pf_live *live, int key, pf_add_fn *add, void *to);
int pf_defined_find(struct pf_live *live, int key, const char *name, struct pf_found *out);
