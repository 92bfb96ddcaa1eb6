/* Heir: a process that has the program's memory and nothing else of it, and sleeps until the
 * program is dead: be it by exit, by _exit or by a signal that nobody caught, kill -9 included.
 * Then it writes the files that would have been written at exit.
 *
 *   our thread --clone(CLONE_VM)--> go-between (ends) --clone(CLONE_VM)--> proffs/heir
 *                                                                            | poll(pidfd)
 *   the program dies, core and all                                           | writes, ends
 *
 * So no signal handler is installed and none is hooked: to the program every signal is as without
 * us. It is nobody's child, has descriptors of its own (two), every signal blocked, and the rights
 * that our threads have: when the program gives rights up, it is replaced. doc/decisions/0008.
 */
#pragma once
#include "agent/option.h"

/* Has `write` called in the heir if the program ends before pf_heir_dismiss(). It is there when this
 * returns; status says when it cannot be. Our first thread. */
void pf_heir_appoint(const struct pf_option *option, void (*write)(const struct pf_option *));

/* The files are written, or not wanted any more; returns when it is gone, or after a second. */
void pf_heir_dismiss(void);

/* In the child after fork: the heir is the parent's. */
void pf_heir_fork_child(void);
