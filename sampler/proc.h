/* Proc: the stack of a thread that sleeps, without waking it.
 *
 * The kernel says where it sleeps (/proc/self/task/TID/syscall: call, stack pointer, pc), its stack
 * is copied by the kernel (own_memory.h), and the copy is walked. Its CPU clock is read before and
 * after: if it has moved, the thread has run, and the reading is repeated. If it has not moved since
 * the last reading at all, the last stack is still right: that costs one clock reading.
 */
#pragma once
#include "sampler/stack.h"
#include "sampler/thread.h"

enum pf_proc_answer {
	PF_PROC_ASLEEP,  /* the stack is in `pcs` */
	PF_PROC_RUNNING, /* or it ran at every attempt */
	PF_PROC_GONE,
	PF_PROC_REFUSED, /* not permitted: the process has dropped its privileges */
	PF_PROC_FAILED,  /* not just now: no descriptor, no memory */
};

struct pf_proc_stack {
	int state; /* number of the system call, or enum of feed.h */
	int64_t cpu_ns;
	uint32_t generation; /* of the modules (past.h) before it was read */
	bool reused;         /* the thread has not run since the last reading */
	uint32_t stack;      /* id of the stack store; 0: it was full */
	uint32_t count;
	const uint64_t *pcs; /* in the store, or in `own` */
	uint64_t own[PF_STACK_DEPTH_MAX + 1];
};

/* Memory for one reader of stacks: NULL without memory. Our own threads. */
struct pf_proc_reader *pf_proc_create(void);
void pf_proc_destroy(struct pf_proc_reader *reader);

enum pf_proc_answer pf_proc_read(
    struct pf_proc_reader *reader, struct pf_thread *thread, struct pf_proc_stack *out);

/* False when it runs, or sleeps in another system call than that: its stack need not be read. */
bool pf_proc_may_sleep_in(
    const struct pf_proc_reader *reader, struct pf_thread *thread, int system_call);

/* What the thread does, without its stack: as pf_proc_stack.state. */
int pf_proc_state(const struct pf_thread *thread);

/* In the child after fork: no descriptor is kept. PF_SIGSAFE. */
void pf_proc_fork_child(void);
