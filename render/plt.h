/* PLT: the stubs through which a file calls what others have, by the name of what they lead to. They
 * are in no symbol table. x86-64. */
#pragma once
#include "render/elf.h"

struct pf_plt_stub {
	uint64_t address;
	uint32_t size;
	uint32_t name; /* into the names of `exported` */
};

/* Hands out every stub; `add` returns 0 or -errno, which ends it. `exported` is the file's own
 * (pf_elf_exported_table). 0 or -errno; sections that make no sense have no stubs. */
int pf_plt_each(const struct pf_elf *elf, const struct pf_elf_table *exported,
    int (*add)(void *to, const struct pf_plt_stub *stub), void *to);
