/* Machines whose code we do not read. */
#if !defined(__x86_64__)
#include "sampler/reach.h"

enum pf_reach pf_reach(const struct pf_module *m, const void *function,
    const struct pf_reach_throw *throws, bool (*is_it)(const char *name, const void *arg),
    const void *arg)
{
	(void)m;
	(void)function;
	(void)throws;
	(void)is_it;
	(void)arg;
	return PF_REACH_YES;
}
#endif
