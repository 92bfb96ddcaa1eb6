/* Machines whose jumps we do not write. */
#if !defined(__x86_64__)
#include "base/feature.h"
#include "sampler/shortcut.h"

void pf_shortcut_make(const struct pf_patch *patches, size_t count, const void *local)
{
	(void)patches;
	(void)count;
	(void)local;
	pf_feature_set(PF_FEATURE_SHORTCUT, PF_FEATURE_NONE, "not written for this processor");
}

void pf_shortcut_program_runs(void)
{
}
#endif
