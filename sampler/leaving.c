#include "sampler/leaving.h"
#include "base/clock.h"

enum { KEPT = 64 };

static struct pf_leaving kept[KEPT];
static uint32_t next;

PF_HOOK struct pf_leaving *pf_leaving_find(pid_t tid)
{
	for (uint32_t i = 0; i < KEPT; i++)
		if (kept[i].tid == tid)
			return &kept[i];
	return NULL;
}

PF_HOOK void pf_leaving_forget(pid_t tid)
{
	struct pf_leaving *l = pf_leaving_find(tid);

	if (l)
		l->tid = 0;
}

PF_HOOK void pf_leaving_note(const struct pf_thread *t)
{
	kept[next++ % KEPT] = (struct pf_leaving){
	    .tid = t->tid,
	    .told_ns = pf_clock_ns(CLOCK_BOOTTIME),
	    .start = t->start,
	    .created_by = t->created_by,
	    .labels = t->labels,
	    .creator = t->creator,
	    .sampled_cpu_ns = __atomic_load_n(&t->sampled_cpu_ns, __ATOMIC_RELAXED),
	};
}

PF_SIGSAFE void pf_leaving_fork_child(void)
{
	for (uint32_t i = 0; i < KEPT; i++)
		kept[i].tid = 0;
}
