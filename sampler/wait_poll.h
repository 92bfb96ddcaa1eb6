/* Wait poll: waits that no hook sees (Go, libgomp, system calls of the program's own, waits that began
 * before the hooks were there), met nineteen times a second in the kernel's own words.
 *
 * A thread met in a futex stands for the time between two looks. It counts once for as long as it has
 * not run in between. In `block` as the kind `futex`; in `mutex`, too, where the word it sleeps at
 * looks like that of a lock, and there with the stack that waits, since nobody is seen to release it.
 */
#pragma once
#include <sys/types.h>

/* Idempotent; called by one thread at a time. 0 or -errno. */
int pf_wait_poll_start(void);
int pf_wait_poll_stop(void);

/* From now on this thread of the program waits for us, which is no wait of the program's. Any thread. */
void pf_wait_poll_leave_out(pid_t tid);

/* In the child after fork. PF_SIGSAFE. */
void pf_wait_poll_fork_child(void);
