/* A module to open: its calls of getppid and malloc go through its own slots. Built in several
 * ways (meson.build). */
#include "base/mark.h"

#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

PF_PUBLIC int module_getppid(void);
PF_PUBLIC void *module_malloc(size_t size);
PF_PUBLIC void module_free(void *at);
PF_PUBLIC int module_has_what_nobody_has(void);

extern int nobody_has_this(void) __attribute__((weak));

int module_getppid(void)
{
	return getppid();
}

void *module_malloc(size_t size)
{
	return malloc(size);
}

void module_free(void *at)
{
	free(at);
}

int module_has_what_nobody_has(void)
{
	return nobody_has_this != NULL;
}
