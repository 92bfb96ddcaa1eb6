/* Real: the functions of the program's own libraries, past our hooks. The only place where a
 * pointer to them is called (scripts/check-calls refuses any other indirect call).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* Looks every one of them up, once, from normal code: 0 or -ENOENT with nothing usable. */
int pf_real_resolve(void);

void *pf_real_malloc(size_t size);
void *pf_real_calloc(size_t count, size_t size);
void *pf_real_realloc(void *at, size_t size);
void *pf_real_reallocarray(void *at, size_t count, size_t size);
void pf_real_free(void *at);
int pf_real_posix_memalign(void **out, size_t alignment, size_t size);
void *pf_real_aligned_alloc(size_t alignment, size_t size);
void *pf_real_memalign(size_t alignment, size_t size);
void *pf_real_valloc(size_t size);
void *pf_real_pvalloc(size_t size);
