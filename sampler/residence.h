/* Residence: what the kernel holds in memory for this process, by what it is.
 *
 * /proc/self/smaps says how much of each mapping is resident. Mappings of ours and uninitialised data
 * of libraries lie beside others, and the kernel makes one of neighbours; so these are asked for page
 * by page (/proc/self/pagemap).
 */
#pragma once
#include <stdint.h>

enum pf_residence_kind {
	PF_RESIDENCE_ANONYMOUS, /* heaps, and whatever else the program has without a file */
	PF_RESIDENCE_STACK,     /* of the program's threads */
	PF_RESIDENCE_FILE,      /* programs, libraries, data; with what was changed of them */
	PF_RESIDENCE_OURS,      /* the agent's tables, its data, its threads' stacks */
	PF_RESIDENCE_KERNEL,    /* vdso and the like */
	PF_RESIDENCE_KINDS,
};

struct pf_residence {
	int64_t bytes[PF_RESIDENCE_KINDS];
	int64_t total;    /* VmRSS, read right after */
	uint32_t threads; /* whose stacks are known */
};

/* 0 or -errno. Our own threads. The kernel keeps the program from mapping memory while it looks at
 * one mapping. */
int pf_residence_read(struct pf_residence *out);
