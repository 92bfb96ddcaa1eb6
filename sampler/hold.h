/* Hold: while our threads map what they cannot place themselves (base/place.h: libraries, malloc's arenas), the
 * program's munmap() waits.
 *
 * Of a hole that it gives up then the kernel would make us a present, and the program may move something
 * there next. Before main() nobody is there to wait; in a child that a fork has left with all of it,
 * there is nothing to map.
 *
 * Its slots are those of the hooks for `kind` mmap (heap_mmap_hook.c): not while those are on.
 */
#pragma once

/* Returns when whoever had given up a hole before has filled it: 1 to 20 ms later. Our own threads, one at a time. */
void pf_hold_begin(void);
void pf_hold_end(void); /* and at the latest 100 ms after the begin nobody waits */

/* In the child after fork: nobody holds. */
void pf_hold_fork_child(void);
