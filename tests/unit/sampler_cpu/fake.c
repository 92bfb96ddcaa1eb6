/* What these tests put in place of files of other rooms: no patches, no libunwind. */
#include "sampler/patch.h"
#include "sampler/unwind.h"

#include <errno.h>

int pf_patch_on(struct pf_patch_set *set)
{
	return 0;
}

int pf_patch_off(struct pf_patch_set *set)
{
	return 0;
}

int pf_unwind_lib_open(void)
{
	return -EOPNOTSUPP;
}

uint32_t pf_unwind_lib(const struct pf_unwind_regs *regs, const struct pf_unwind_memory *memory,
    uint64_t *out, uint32_t max, enum pf_unwind_end *end)
{
	return 0;
}
