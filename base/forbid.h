/* Forbidden: system calls that we may no longer make, for a filter (seccomp) of the program would end
 * or stop it for them.
 *
 * The program would not have made them, so it is for us to leave them out. A filter is a thread's and
 * of the threads it creates, or, installed for all of them, the process's: a word for each.
 */
#pragma once
#include "base/mark.h"

#include <stdbool.h>
#include <stdint.h>

enum pf_forbidden {
	PF_FORBIDDEN_HOST =
	    1 << 0, /* what our hooks and handlers need on a thread of the program */
	PF_FORBIDDEN_CREW = 1 << 1,  /* what our own threads cannot do without */
	PF_FORBIDDEN_FUTEX = 1 << 2, /* part of both */
	/* What is done without. */
	PF_FORBIDDEN_TIMER = 1 << 3,   /* timer_create and its like */
	PF_FORBIDDEN_READ = 1 << 4,    /* process_vm_readv */
	PF_FORBIDDEN_EVENT = 1 << 5,   /* perf_event_open */
	PF_FORBIDDEN_QUEUE = 1 << 6,   /* rt_tgsigqueueinfo */
	PF_FORBIDDEN_SPAWN = 1 << 7,   /* a child, and execve in it */
	PF_FORBIDDEN_MOUNT = 1 << 8,   /* mount, umount2 and their like */
	PF_FORBIDDEN_USAGE = 1 << 9,   /* getrusage */
	PF_FORBIDDEN_WORDS = 1 << 10,  /* a line on stderr at the end */
	PF_FORBIDDEN_RIGHTS = 1 << 11, /* capget */
	/* No system call, and never for all: the processor's clock, by an instruction or in the vDSO. */
	PF_FORBIDDEN_CLOCK = 1 << 12, /* prctl(PR_SET_TSC, PR_TSC_SIGSEGV) */
};

extern PF_TLS uint32_t pf_forbidden_here; /* defined in forbid.c; the thread's own */
extern uint32_t *pf_forbidden_to_all;     /* atomic; the process's */

/* Is it forbidden to the calling thread? PF_SIGSAFE. */
PF_INLINE bool pf_is_forbidden(enum pf_forbidden what)
{
	return (pf_forbidden_here | __atomic_load_n(pf_forbidden_to_all, __ATOMIC_RELAXED)) & what;
}

/* From now on this object asks the agent's word. Before any thread. */
void pf_forbidden_adopt(uint32_t *to_all);
