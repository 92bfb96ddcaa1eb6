/* Own memory: the process's memory read through the kernel, which says when there is none, where a
 * load would end the program. For memory that may vanish meanwhile: stacks and modules of others. */
#pragma once
#include <stddef.h>
#include <sys/types.h>

/* How much of the `size` bytes at `from` could be read from its beginning on; -EFAULT: nothing;
 * another -errno: the kernel lets nobody read (a seccomp filter, and no /proc). Our own threads. */
ssize_t pf_own_memory_read(void *to, const void *from, size_t size);
