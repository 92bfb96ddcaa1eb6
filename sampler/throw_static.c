#include "sampler/throw_static.h"
#include "base/mark.h"
#include "sampler/gate.h"
#include "sampler/module.h"

#include <string.h>

/* The name of std::exception's type, as it stands between other constants. Whoever has it and throws has
 * the runtime inside; others refer to the library's. */
static const char mark[] = "\0St9exception";

static bool imports(const struct pf_module *m, const char *symbol)
{
	for (size_t kind = 0; kind < PF_COUNT(m->relocations); kind++)
		for (size_t i = 0; i < m->relocation_count[kind]; i++) {
			size_t at = ELF64_R_SYM(m->relocations[kind][i].r_info);

			if (at && strcmp(m->strings + m->symbols[at].st_name, symbol) == 0)
				return true;
		}
	return false;
}

/* Not memmem(): that may be a sanitizer's, which takes the gaps between constants for mistakes. */
static __attribute__((no_sanitize("address"))) bool holds_mark(const char *at, size_t size)
{
	for (size_t i = 0; i + sizeof(mark) <= size; i++) {
		size_t same = 0;

		while (same < sizeof(mark) && at[i + same] == mark[same])
			same++;
		if (same == sizeof(mark))
			return true;
	}
	return false;
}

/* Constants that nobody writes: linkers put them into segments of their own, or beside the code. */
static bool has_mark(const struct dl_phdr_info *info)
{
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];

		if (segment->p_type == PT_LOAD && (segment->p_flags & PF_R) &&
		    !(segment->p_flags & PF_W) &&
		    holds_mark(
			(const char *)(info->dlpi_addr + segment->p_vaddr), segment->p_filesz))
			return true;
	}
	return false;
}

/* The first one is the executable, which stays: what takes long is done when the loader is free again. */
static int find_executable(struct dl_phdr_info *info, size_t size, void *found)
{
	struct pf_module m;

	if (pf_module_read(&m, info) && !imports(&m, "_Unwind_RaiseException") &&
	    !imports(&m, "__cxa_throw"))
		*(struct dl_phdr_info *)found = *info;
	return 1;
}

bool pf_throw_static(void)
{
	struct dl_phdr_info executable = {.dlpi_phnum = 0};

	pf_gate_enter();
	dl_iterate_phdr(find_executable, &executable);
	pf_gate_leave();
	return has_mark(&executable);
}
