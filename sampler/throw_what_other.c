/* Where nobody has written down the instructions yet: nothing is known. */
#if !defined(__x86_64__)
#include "base/mark.h"
#include "sampler/throw_what.h"

PF_HOOK bool pf_throw_what(const void *function, const void *object, uint64_t *result)
{
	return false;
}
#endif
