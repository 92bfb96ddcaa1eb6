/* Threadcreate: every thread that was ever created, by the stack of who did it.
 *
 * The hook counts each creation at its creator's stack; who is alive is asked of the registry
 * (thread.h). Threads that no hook saw being created are counted when they are first met, at
 * [unknown creator]. The main thread was created by nobody here and is left out.
 */
#pragma once
#include "base/profile.h"

/* One more creation (or, -1, one fewer) at this stack; 0: not known. PF_HOOK. */
void pf_threadcreate_count(uint32_t stack, int change);

/* Counts anew from here on: true; false when it counts already. Normal code, our own threads. */
bool pf_threadcreate_start(void);
void pf_threadcreate_stop(void);
void pf_threadcreate_fork_child(void); /* PF_SIGSAFE */

/* One sample per living thread (labels state=living, thread, tid, creator) and one per stack for
 * those that have ended (state=ended). */
pf_collect_fn pf_threadcreate_collect;
