/* Heap mmap hooks: memory that the program takes from the kernel itself, with mmap, mremap and munmap;
 * off unless config/heap_mmap is 1. Counted is address space, in whole pages, touched or not. The
 * allocator's own mappings are not the program's.
 */
#pragma once

/* 0 or -errno. Normal code. */
int pf_heap_mmap_on(void);
int pf_heap_mmap_off(void);
