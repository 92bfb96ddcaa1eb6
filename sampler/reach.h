/* Reach: can a function's code come to a call of another module's function that has some property?
 *
 * Its machine code is read, and that of what it calls or jumps to in its own module, by direct calls and
 * branches only. What stands behind a pointer nobody can read off.
 */
#pragma once
#include "sampler/module.h"

#include <stdbool.h>

enum { PF_REACH_CLOSED = 2 };

enum pf_reach {
	PF_REACH_UNKNOWN, /* a call by a pointer, an instruction that we do not know, too much of it */
	PF_REACH_NO,      /* all of it was read */
	PF_REACH_YES,
};

/* `is_it` is asked for each name that is met. What is called at one of `closed` is not read: addresses, or 0.
 * Whoever asks keeps the module loaded. */
enum pf_reach pf_reach(const struct pf_module *m, const void *function,
    const uintptr_t closed[PF_REACH_CLOSED], bool (*is_it)(const char *name, const void *arg),
    const void *arg);
