/* Glibc: the names that no other libc has, as weak references.
 *
 * A child inherits LD_PRELOAD, and it may be a program of another libc. musl's loader takes libproffs.so
 * for a library like any other and ends the program where a name is missing. So none of these must be
 * there: our constructor asks first, and leaves such a program alone.
 */
#pragma once
#include <dlfcn.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

#pragma weak dladdr1
#pragma weak dlvsym
#pragma weak fcntl
#pragma weak sigabbrev_np
#pragma weak strerrordesc_np

/* What pthread_atfork() calls, from the static part of glibc. */
int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void),
    void *module) __attribute__((weak));

extern void *__dso_handle __attribute__((visibility("hidden")));

static inline bool pf_glibc_is_here(void)
{
	return &__register_atfork != NULL;
}

/* As pthread_atfork(). */
static inline int pf_glibc_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
	return __register_atfork(prepare, parent, child, __dso_handle);
}
