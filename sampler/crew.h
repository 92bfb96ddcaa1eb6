/* Crew: the agent's own threads. All signals blocked, the guard held for life, named
 * "proffs/NAME", never sampled and never in a dump.
 *
 * The first one makes the private descriptor table (design.md section 4); later ones must be
 * started by a member of the crew, so that they inherit it.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { PF_CREW_MAX = 128 };

/* Starts a detached thread "proffs/NAME" (name: up to 8 characters). 0 or -errno (-EAGAIN also
 * when PF_CREW_MAX threads are alive, -ESRCH after pf_crew_bury()). The caller's signal mask is kept. */
int pf_crew_start(const char *name, void *(*run)(void *), void *arg);

/* Is this one of ours? PF_SIGSAFE, any thread. */
bool pf_crew_has(pid_t tid);

/* Waits until no member is between its creation and being known to pf_crew_has(), and forgets those
 * whose thread is gone. Who lists threads and then calls this can tell ours from the program's: a
 * member is known until /proc has forgotten it. Our own threads. */
void pf_crew_settle(void);
/* A thread of the program begins with this number: whoever of ours had it is gone. PF_HOOK. */
void pf_crew_pass_on(pid_t tid);

/* One that is alive, or 0. Waits until one that is being created is known. Any thread. */
pid_t pf_crew_any(void);

/* How many are alive. Any thread. */
uint32_t pf_crew_count(void);

/* An address on the stack of each living member: up to `max`, returns how many. Our own threads. */
size_t pf_crew_stacks(uintptr_t *out, size_t max);

/* CPU time of all members, living and gone, in nanoseconds. */
int64_t pf_crew_cpu_ns(void);

/* Wait until the kernel has no member any more, or deadline_ns (monotonic): 0 or -ETIMEDOUT. */
int pf_crew_wait_gone(int64_t deadline_ns);

/* The process is dead, and the caller alone with its memory: nobody of the crew lives, was about to, or ever
 * will. pthread_create would wait for a lock of the loader's that somebody may have died with. */
void pf_crew_bury(void);

/* In the child after fork: nobody of the crew exists here. */
void pf_crew_forget(void);
