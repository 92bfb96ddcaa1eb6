/* Patch poke: tells our thread at once that the program is about to load or close a module.
 *
 * dlopen must never be wrapped by a call: it looks at its return address to know whose $ORIGIN and
 * search path count. Its hooks therefore wake our thread and then jump, leaving the caller's return
 * address where it was. dlclose does not look; its hook also tells the unwinder, before and after.
 */
#pragma once
#include "sampler/patch.h"

/* On while any other set is on. */
extern struct pf_patch_set pf_patch_poke_set;

/* Finds the real functions, once. Passes the gate. */
void pf_patch_poke_resolve(void);
