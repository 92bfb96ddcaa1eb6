#include "base/wait.h"
#include "base/clock.h"
#include "base/lock.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>

int pf_wait_until(struct pf_wait *wait, int64_t deadline_ns)
{
	struct pf_wait alone = PF_WAIT_INIT;

	if (!wait)
		wait = &alone;
	for (;;) {
		switch (__atomic_load_n(&wait->end, __ATOMIC_ACQUIRE)) {
		case PF_WAIT_STOPPED:
			return 1;
		case PF_WAIT_CANCELLED:
			return -EINTR;
		}
		if (pf_clock_now_ns() >= deadline_ns)
			return 0;
		pf_futex_wait(&wait->end, PF_WAIT_RUNNING, deadline_ns);
	}
}

static void end_wait(struct pf_wait *wait, uint32_t how)
{
	uint32_t now = __atomic_load_n(&wait->end, __ATOMIC_ACQUIRE);

	while (now < how && !__atomic_compare_exchange_n(
				&wait->end, &now, how, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		;
	pf_futex_wake(&wait->end, INT_MAX);
}

void pf_wait_stop(struct pf_wait *wait)
{
	end_wait(wait, PF_WAIT_STOPPED);
}

void pf_wait_cancel(struct pf_wait *wait)
{
	end_wait(wait, PF_WAIT_CANCELLED);
}
