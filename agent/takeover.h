/* Takeover: locks whose holders are dead.
 *
 * Who is alone with the memory of a killed process (heir.h) may come to any lock that somebody died
 * with: of malloc's arenas, of libelf's, of the loader's. It would sleep for ever.
 *
 *   SIGALRM, ten times a second: asleep in futex(word, FUTEX_WAIT, no deadline)?  word = 0, it is free
 *
 * 0 is the free word of glibc's own locks (malloc's, stdio's, the loader's) and of its mutexes, which
 * have no owner then. What the lock kept may be in the middle of a change. A child of vfork that still has
 * the memory counts as dead.
 */
#pragma once

/* From now on until the process ends, which it does after `seconds` at the latest. The caller is its
 * only thread. */
void pf_takeover_begin(int seconds);
