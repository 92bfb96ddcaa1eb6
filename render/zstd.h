/* Zstd: debug information that was packed with it (gcc -gz=zstd, objcopy
 * --compress-debug-sections=zstd), for a libelf that does not know it: Debian 12's is older. */
#pragma once
#include <stddef.h>

/* *image: the file with those sections unpacked, for elf_memory(); the caller unmaps it. 0; -ENOENT there is
 * none, the file is as good; -ENOTSUP no libzstd here; -EINVAL, -EFBIG, -ENOMEM.
 * For proffs-lines alone: it maps a file that others may cut, and opens a library. */
int pf_zstd_image(int fd, void **image, size_t *length);
