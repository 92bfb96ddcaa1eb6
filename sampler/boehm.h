/* Boehm: asks the program's own garbage collector (libgc), where it has one, to collect, without a line
 * of code in the program.
 *
 *     a thread of ours, for this alone:  register -> collect -> unregister
 *
 * The collector stops every registered thread by signals while it works, ours too: so these two
 * signals are open there. It is registered for the time of the collection alone, and everything
 * happens inside the gate (gate.h): a child of fork() must not inherit the collector's lock. A fork
 * that comes meanwhile ends the collection, which begins anew after it: it must come to the gate before
 * it takes the collector's lock in the collector's own handler, so ours are there a second time.
 *
 * Whoever holds the collector's lock for ever holds that thread, and nobody else: who asked gets
 * -ETIMEDOUT, and the next one -EBUSY, and the gate is left in that thread's stead.
 *
 * Finalizers are the program's code, and are not run on a thread of ours: they wait for the program's
 * own next collection.
 *
 * A program that has never had a second thread of the collector's does not lock at all, and is left
 * alone: to make it lock would change it for ever, and the first signal would end its blocking calls.
 */
#pragma once
#include "base/wait.h"

#include <stdbool.h>

struct pf_buf;

/* 0: it has collected; `words` (may be NULL) get what it said of its memory. -ENOENT: there is none in
 * this process, or none that has been started. Otherwise the words say why not: -EOPNOTSUPP it is
 * built without threads, or switched off, or does not lock; -ETIMEDOUT its lock is not to be had in
 * ten seconds; -ENOMEM; -EBUSY somebody waits for that since then; -EINTR the reader had
 * enough; -EAGAIN no thread to be had. Our own threads, outside the gate. */
int pf_boehm_collect(struct pf_buf *words, struct pf_wait *wait);

/* In the child after fork: nobody is at work. */
void pf_boehm_fork_child(void);
