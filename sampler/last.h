/* Last: a process ends when its last thread does, by pthread_exit or by returning from it, and with
 * exit(): what the program registered runs, what it buffered is written. libc counts our threads as
 * well, so it never comes to that; hence we count the program's own, and exit() in libc's place.
 */
#pragma once
#include <stdbool.h>

/* A thread is about to be created through the hook: 1; it was not: -1. PF_HOOK. */
void pf_last_count(int change);

/* At the very end of any thread of the program; `counted`: by pf_last_count(). Does not
 * return on the last one. */
void pf_last_end(bool counted);

/* For those that end unseen (by a system call of their own): is nobody left but us? Once a second,
 * by a thread of ours; true the second time in a row. */
bool pf_last_nobody_left(void);

/* In the child after fork. PF_SIGSAFE. */
void pf_last_fork_child(void);
