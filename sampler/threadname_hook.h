/* Thread name hooks: a thread that names itself is known by that name at once, and not only when
 * /proc is looked at next. The heap's rows have the name, and may not ask for it under malloc: under
 * a strict seccomp filter prctl ends the process.
 */
#pragma once

/* Every pthread_setname_np and prctl goes through us from here on. 0 or -errno. Normal code. */
int pf_threadname_start(void);
void pf_threadname_stop(void);

/* prctl, passed on. PF_HOOK. */
int pf_threadname_prctl(int option, long a, long b, long c, long d);
