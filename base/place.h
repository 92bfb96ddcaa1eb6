/* Place: where our mappings lie in the program's address space: far below what it maps itself.
 *
 * A program with one thread may take the address of a mapping that it has just given up for free, and put
 * something there (mremap() with MREMAP_FIXED, mmap() with MAP_FIXED). The kernel hands the same hole to
 * whoever asks next, and our threads and handlers ask at any moment. So none of ours takes what it is given.
 */
#pragma once
#include <stddef.h>

/* As mmap(): zeroed and private, of no file (`fd` -1) or of one; MAP_FAILED and errno. Where the place is
 * taken by somebody the kernel chooses. `more`: further flags of mmap's. PF_SIGSAFE. */
void *pf_place_map(size_t bytes, int protection, int more, int fd);

/* As mremap() with MREMAP_MAYMOVE, of what pf_place_map() gave to be read and written. Ordinary threads of ours
 * only. */
void *pf_place_remap(void *at, size_t old_bytes, size_t bytes);
