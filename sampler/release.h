/* Release: asks the program's allocator to give free memory back to the kernel. Whichever of
 * glibc, jemalloc, tcmalloc and mimalloc are loaded are asked; others have nothing to ask. Before them the
 * program's own collector: what it named for that, or Boehm's (boehm.h).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct pf_buf;
struct pf_wait;

/* 0, also where nothing could be done; or -errno of Boehm's collector, where that can collect and did not
 * (boehm.h). `collect`: the program's own collector first. `said` (may be NULL) gets a sentence for people: who was asked,
 * and resident memory before and after. Our own threads; may take seconds, until `wait` (may be NULL)
 * is cancelled. */
int pf_release_memory(bool collect, struct pf_buf *said, struct pf_wait *wait);

/* What the program does when it is asked for free memory, before its allocator is; NULL: nothing.
 * Any thread. */
void pf_release_on_gc(void (*collect)(void));
