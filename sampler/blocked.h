/* Blocked: who waits for whom at this moment.
 *
 * From the threads' own state: the kernel says at which address a thread sleeps (its `syscall`
 * file), the lock there says who holds it, and where a hook has seen the wait begin, the thread's
 * slot says which lock it is and since when. So it works, a little less exactly, with every
 * collector off, which is when one usually meets a program that hangs.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct pf_profile;

/* Fills out->waiting: a sample for each thread that waits, with the labels thread, tid, kind, lock,
 * owner and owner_thread (where known), age_ns, at_least (1: it may be longer), lock_like (1: for
 * somebody to release something), deadlock (the number of the circle that it is part of). 0 or
 * -errno. Our own threads. */
int pf_blocked_add(struct pf_profile *out);

/* The thread that `tid` waits for, or 0: nobody, or not known. *endless: whoever goes on asking so
 * goes round in a circle. Asks the kernel, takes no lock. Our own threads. */
pid_t pf_blocked_on(pid_t tid, bool *endless);

/* Of a thread that sleeps in a futex: does the word look like a lock's? Our own threads. */
bool pf_blocked_is_lock_like(pid_t tid);

/* Does it sleep by the word at `futex`? Any thread of ours. */
bool pf_blocked_sleeps_by(pid_t tid, uint64_t futex);
