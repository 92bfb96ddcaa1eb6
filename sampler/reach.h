/* Reach: can a function's code come to a call of another module's function that has some property?
 *
 * Its machine code is read, and that of what it calls or jumps to in its own module, by direct calls and
 * branches only. What stands behind a pointer nobody can read off.
 */
#pragma once
#include "sampler/module.h"

#include <stdbool.h>

enum pf_reach {
	PF_REACH_UNKNOWN, /* a call by a pointer, code that we do not know or may not read, too much of it */
	PF_REACH_NO, /* all of it was read */
	PF_REACH_YES,
};

/* How the module throws, where it has that itself: not read. Addresses, or 0. */
struct pf_reach_throw {
	uintptr_t allocate, raise;
};

/* `is_it` is asked for each name that is met. Whoever asks keeps the module loaded. Where we do not read the
 * machine's code the answer is yes. */
enum pf_reach pf_reach(const struct pf_module *m, const void *function,
    const struct pf_reach_throw *throws, bool (*is_it)(const char *name, const void *arg),
    const void *arg);
