#include "sampler/activity.h"
#include "base/clock.h"
#include "sampler/crew.h"

#include <sys/resource.h>

/* CPU time in which a thread may have begun to run unseen. */
static const int64_t QUIET_CPU_NS = 100 * PF_NS_PER_US;

static int64_t ns_of(const struct timeval *t)
{
	return (int64_t)t->tv_sec * PF_NS_PER_SECOND + t->tv_usec * PF_NS_PER_US;
}

struct pf_activity pf_activity_read(void)
{
	struct rusage all, own;
	struct pf_activity now = {.cpu_ns = -pf_crew_cpu_ns()};

	if (getrusage(RUSAGE_SELF, &all) != 0 || getrusage(RUSAGE_THREAD, &own) != 0)
		return (struct pf_activity){.switches = -1};
	now.cpu_ns += ns_of(&all.ru_utime) + ns_of(&all.ru_stime);
	now.switches = all.ru_nvcsw + all.ru_nivcsw - own.ru_nvcsw - own.ru_nivcsw;
	return now;
}

bool pf_activity_is_none(const struct pf_activity *before, const struct pf_activity *now)
{
	return now->switches >= 0 && now->switches == before->switches &&
	       now->cpu_ns - before->cpu_ns < QUIET_CPU_NS;
}
