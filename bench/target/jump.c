/* malloc and free as a preloaded library exports them, doing nothing but jump on: what a profiler by
 * exported symbols costs even when it is off, and what two jumps cost of a hook that does more. */
#include <stddef.h>

void *__libc_malloc(size_t size);
void __libc_free(void *at);
void *malloc(size_t size);
void free(void *at);

/* Filled in by the loader, before anybody allocates. */
static void *(*volatile real_malloc)(size_t size) = __libc_malloc;
static void (*volatile real_free)(void *at) = __libc_free;

void *malloc(size_t size)
{
	return real_malloc(size);
}

void free(void *at)
{
	real_free(at);
}
