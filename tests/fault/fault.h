/* The page that a test and libfault.so share: which call shall fail, and what came of it.
 *
 * The test writes `at` and `forever`, then `kind`; libfault counts every call of that kind that our
 * own objects make, in all processes of the family. fault.py has the same offsets.
 */
#pragma once
#include <stdint.h>

/* What fails, with which errno, is in libfault.c: one row a call. */
#define PF_FAULTS(X)                                                                               \
	X(MEMORY, "memory")                                                                        \
	X(MAP, "map")                                                                              \
	X(OPEN, "open")                                                                            \
	X(THREAD, "thread")                                                                        \
	X(TIMER, "timer")                                                                          \
	X(SYSTEM, "system")                                                                        \
	X(READ, "read")

enum pf_fault {
#define X(id, name) PF_FAULT_##id,
	PF_FAULTS(X)
#undef X
	    PF_FAULT_COUNT
};

struct pf_fault_page {
	int32_t kind;                    /* 0: enum pf_fault; -1: none */
	uint32_t forever;                /* 4: all from `at` on */
	uint64_t at;                     /* 8: the call that fails; the first is 1 */
	uint64_t count;                  /* 16: calls of that kind so far */
	uint64_t fired;                  /* 24: how many failed */
	uint64_t offset;                 /* 32: in `module`: where the first of them was made */
	char name[40];                   /* 40: which function it was */
	char module[80];                 /* 80 */
	uint64_t totals[PF_FAULT_COUNT]; /* 160: of every kind, from the start on */
	char only[40]; /* 216: `count` is of calls made in modules whose names begin so */
};
