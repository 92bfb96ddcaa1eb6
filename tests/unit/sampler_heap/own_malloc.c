/* An executable's own malloc, which the libraries use as well. */
#include "base/mark.h"

#include <stddef.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *at, size_t size);
void __libc_free(void *at);

PF_PUBLIC void *malloc(size_t size);
PF_PUBLIC void *calloc(size_t count, size_t size);
PF_PUBLIC void *realloc(void *at, size_t size);
PF_PUBLIC void free(void *at);

void *malloc(size_t size)
{
	return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	return __libc_calloc(count, size);
}

void *realloc(void *at, size_t size)
{
	return __libc_realloc(at, size);
}

void free(void *at)
{
	__libc_free(at);
}
