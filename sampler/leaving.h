/* Leaving: threads that have told their end (the destructor of our thread-specific key), which comes
 * before the kernel's. Until then /proc shows them, and whoever meets one there must not take it for a
 * new one.
 *
 * The caller holds the registry's lock (thread.c). All PF_HOOK.
 */
#pragma once
#include "sampler/thread.h"

struct pf_leaving {
	pid_t tid;       /* 0: nobody */
	int64_t told_ns; /* CLOCK_BOOTTIME, as /proc tells when a thread began */
	uint64_t start;
	uint32_t created_by, labels;
	pid_t creator;
	int64_t sampled_cpu_ns;
};

/* The last 64 are kept: each is gone as soon as it has had a processor once more. */
void pf_leaving_note(const struct pf_thread *thread);
struct pf_leaving *pf_leaving_find(pid_t tid); /* or NULL */
void pf_leaving_forget(pid_t tid);

/* In the child after fork. PF_SIGSAFE. */
void pf_leaving_fork_child(void);
