/* Wait hooks: what the program's locks and waits lead to while mutex or block is on.
 *
 * A lock that is free and a release that nobody waits for cost a load or two and as many predicted branches
 * more, then they jump on to the real function. Only who will probably wait, or takes a lock that was
 * waited for lately, goes the slow way. The real function is called once, with what the program passed,
 * but for plain locks that were free a moment later: those were taken by a try.
 */
#pragma once
#include "base/mark.h"

#include <stdbool.h>

/* Which condition variables are meant: x86-64 has an older kind under the same name. */
#if defined(__x86_64__)
#define PF_CONDITION_VERSION "GLIBC_2.3.2"
#else
#define PF_CONDITION_VERSION ((const char *)0)
#endif

enum pf_wait_hooks {
	PF_HOOKS_LOCK = 1,   /* taking locks */
	PF_HOOKS_UNLOCK = 2, /* releasing them */
	PF_HOOKS_SYNC = 4,   /* other ways to wait for another thread */
	PF_HOOKS_SLEEP = 8,
	PF_HOOKS_IO = 16,
};

/* Points the program at these hooks and at no others: 0, or -errno and those that were on stay.
 * Normal code. */
int pf_wait_hook_set(unsigned hooks);

/* Known to be the C library whose locks we read? A lock of our own is tried once. */
bool pf_wait_hook_understands_locks(void);

/* wait_futex_hook.c: in place of syscall(); in assembler, and where it goes on to. PF_HOOK. */
void pf_real_after_syscall(void);
extern PF_HIDDEN void *pf_wait_real_syscall;

/* wait_io_hook.c. PF_HOOK. */
struct pf_patch_set;
extern struct pf_patch_set pf_wait_sleep_set, pf_wait_io_set;
/* After pf_tick_start(). Normal code. */
void pf_wait_io_start(void);
