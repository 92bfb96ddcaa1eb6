/* The sized frees of C23 (7.24.3.4, 7.24.3.5), for a libc that has none. */
#include "base/mark.h"

#include <stdlib.h>

PF_PUBLIC void free_sized(void *at, size_t size);
PF_PUBLIC void free_aligned_sized(void *at, size_t align, size_t size);

void free_sized(void *at, size_t size)
{
	free(at);
}

void free_aligned_sized(void *at, size_t align, size_t size)
{
	free(at);
}
