/* Patch poke: tells our thread at once that the program is about to load or close a module.
 *
 * dlopen must never be wrapped by a call: it looks at its return address to know whose $ORIGIN and
 * search path count. Its hooks therefore wake our thread and then jump, leaving the caller's return
 * address where it was. dlclose does not look; its hook also tells the unwinder, before and after.
 *
 * A module that has just been opened has its slots patched some milliseconds later. Its functions are mostly
 * called sooner, after a dlsym: that waits, the first time after each dlopen, until our thread has been
 * there. What constructors do inside dlopen itself is not seen.
 */
#pragma once
#include "sampler/patch.h"

#include <stdbool.h>

/* On while any other set is on. Two, since programs that have a dlsym of their own are not rare. */
extern struct pf_patch_set pf_patch_poke_set, pf_patch_ask_set;

/* While nobody listens, dlsym does not wait. */
void pf_patch_poke_listen(bool on);

/* Our thread: how often it was asked to patch at once; whether that is answered; now it is. Until
 * `deaf_until_ns` nobody else asks. */
uint32_t pf_patch_poke_asked(void);
bool pf_patch_poke_is_answered(uint32_t ticket);
void pf_patch_poke_answer(uint32_t ticket, int64_t deaf_until_ns);

/* Finds the real functions, once. Passes the gate. */
void pf_patch_poke_resolve(void);
