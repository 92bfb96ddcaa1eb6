/* Gate: our threads in the dynamic loader, and the program's fork(), keep out of each other's way.
 *
 * A child of fork() inherits the loader's write lock in whatever state it is. Were one of our
 * threads inside dlopen() or dl_iterate_phdr() at that moment, the child would hang for ever in
 * its next dlopen() or throw (glibc 2.36 does not reset that lock). So our threads pass this gate
 * first, and fork() waits for it to be free: briefly, and never longer than FORK_PATIENCE, since
 * the forking thread may itself hold what our thread waits for.
 */
#pragma once
#include <stdbool.h>

/* Around every dlopen, dlsym and dl_iterate_phdr on a thread of ours. Not recursive. */
void pf_gate_enter(void);
void pf_gate_leave(void);

/* The same for what an heir may come to. False: it has not entered, the gate is shut for good. */
bool pf_gate_try(void);
/* Of the dead, one may have held the loader's lock: the last thread there is stays outside. */
void pf_gate_shut(void);

/* Around a dlopen of our own, inside: what comes with it is not the program's. */
void pf_gate_open_begin(void);
void pf_gate_open_end(void);
/* Who looks for what has come: is one of ours being opened, or was there one since the last who forgot? */
bool pf_gate_opens(void);
bool pf_gate_forget_opens(void); /* the same, and forgets */

/* Does a fork() wait for who is inside? */
bool pf_gate_is_wanted(void);

/* pthread_atfork handlers. The first two may be there twice, around those of others: the gate is closed
 * from the one to the other, and both wait no longer than one. */
void pf_gate_fork_prepare(void);
void pf_gate_fork_parent(void);
void pf_gate_fork_child(void);
