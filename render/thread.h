/* What a thread dump says of a thread: the labels of its sample, by name. */
#pragma once
#include "base/profile.h"

struct pf_thread_labels {
	int64_t tid;
	const char *name, *state, *syscall, *created_by; /* "" where there is none */
	int64_t creator;                                 /* its tid; 0: not known */
	uint64_t creator_pc;                             /* where created_by is; 0: not known */
	int64_t age_ns;                                  /* 0: not known */
};

struct pf_thread_labels pf_thread_labels(const struct pf_profile *p, const struct pf_sample *s);
