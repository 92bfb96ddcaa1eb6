/* Blocks of memory of our own threads, which leave the program's malloc as it was.
 *
 * Small ones are malloc's. Large ones are mappings of their own: malloc would keep their room when they
 * are freed, and change its thresholds, which are the program's too. Ordinary threads of ours only.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* `count` items of `size` bytes each, zeroed: NULL without memory, or if that many bytes cannot be. Freed
 * by pf_memory_free(), which takes NULL. */
void *pf_memory_new(size_t count, size_t size) __attribute__((malloc));
void pf_memory_free(void *block);

/* For those who know the size of theirs anyway (buf.h). A new one (`at` NULL, `old_bytes` 0) or another
 * size for one; what is new in it is not zeroed. NULL: -ENOMEM, and `at` is as it was. */
void *pf_memory_resize(void *at, size_t old_bytes, size_t bytes);
void pf_memory_release(void *at, size_t bytes);

/* Bytes that all of them in this object hold now: the agent's own memory in `status`. */
int64_t pf_memory_held_bytes(void);
