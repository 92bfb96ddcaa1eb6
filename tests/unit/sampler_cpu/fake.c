/* What these tests put in place of files of other rooms: no patches, and no locks that are watched. */
#include "sampler/patch.h"
#include "sampler/wait_poll.h"

int pf_patch_on(struct pf_patch_set *set)
{
	return 0;
}

int pf_patch_off(struct pf_patch_set *set)
{
	return 0;
}

int64_t pf_wait_poll_turn(int64_t now_ns, struct pf_activity *activity, int64_t tick_ns)
{
	return -1;
}
