/* Identity: the program's setuid(2) and its like, where our threads would end it.
 *
 * libc passes such a call on to every thread of the process, and aborts when one may and another may
 * not. Capabilities are each thread's own: a program that manages them itself (setpriv, libcap-ng)
 * keeps some over its setuid that our threads lose by it, and its next setgroups would be the end.
 *
 *     capset()                   from here on the two may differ
 *     setgroups(), setuid() ...  they do: our threads end first, and are started anew after the call,
 *                                by this thread, so with its rights
 *
 * So they do for unshare(CLONE_NEWUSER) and for setns() into another's, which the kernel refuses where there
 * is a second thread; and setns() waits until our first thread has a working directory of its own.
 */
#pragma once

/* Once the process is to have a thread of ours; idempotent. Normal code. */
void pf_identity_start(void);
