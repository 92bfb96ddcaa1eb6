/* A library through which another one gets what it has from malloc. */
#include "base/mark.h"

#include <stdlib.h>

PF_PUBLIC void *fetched(size_t size);
PF_PUBLIC void returned(void *at);

void *fetched(size_t size)
{
	return malloc(size);
}

void returned(void *at)
{
	free(at);
}
