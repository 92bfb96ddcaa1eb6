/* Heap builtin: an allocator that is linked into the executable under names of its own (Rust's
 * _rjem_malloc, mi_malloc ...). Calls of it pass no slot, so nobody can see them from outside; we
 * can only say so.
 */
#pragma once

/* What to say about it (lives for ever), or NULL: there is none, or the executable is stripped.
 * Reads the symbol table of /proc/self/exe: our own threads, once, some milliseconds. */
const char *pf_heap_builtin(void);
