/* Functions of its own, for a module that is opened with RTLD_DEEPBIND. Its blocks are not from any
 * heap, and its free only counts. */
#include "base/mark.h"

#include <stddef.h>

PF_PUBLIC int getppid(void);
PF_PUBLIC void *malloc(size_t size);
PF_PUBLIC void free(void *at);
PF_PUBLIC int own_frees;

int own_frees;

int getppid(void)
{
	return 4242;
}

void *malloc(size_t size)
{
	static char memory[4096];
	static size_t used;

	used += 64;
	return memory + used % sizeof(memory);
}

void free(void *at)
{
	own_frees++;
}
