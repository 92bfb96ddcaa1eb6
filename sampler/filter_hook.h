/* Filter hook: seccomp filters that would end the program for what only we do.
 *
 * A filter that says EPERM is no harm: a call fails and a counter moves. One that kills (or traps, or
 * hands over to a tracer or a supervisor) would change the program's end. So it is read before it is
 * installed (filter.h), and what it forbids is left out from then on (base/forbid.h):
 *
 *     for the caller alone    of what is done without: that. Else the thread is left alone, with all that
 *                             it creates: no signal, no timer, no hook; it is seen from outside.
 *     for all threads (TSYNC) of what is done without: that. Else our threads end first.
 *
 * Seen are prctl() and syscall(), which is how libseccomp does it, too.
 */
#pragma once
#include <stdbool.h>

/* Of the agent. */
struct pf_filter_owner {
	bool (*step_aside)(void); /* our threads end now: false: there were none */
	void (*step_back)(void);  /* the filter was not installed after all */
};

/* Before main(), once; idempotent. Normal code. */
void pf_filter_hook_start(const struct pf_filter_owner *owner);

/* Others who watch the same two functions: threadname_hook.c prctl, wait_futex_hook.c syscall (by a hook in
 * place of ours, that ends in pf_filter_after_syscall(); NULL: no more). 0 or -errno. Normal code. */
int pf_filter_hook_names(bool on);
int pf_filter_hook_waits(void *hook);

/* Where syscall() goes from wait_futex_hook.c; in assembler. */
void pf_filter_after_syscall(void);

/* In the child after fork. */
void pf_filter_fork_child(void);
