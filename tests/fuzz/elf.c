/* A file that says it is ELF: its tables, its symbols, their names. */
#include "render/elf.h"
#include "base/buf.h"
#include "base/profile.h"
#include "fuzz.h"
#include "render/demangle.h"
#include "render/module.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void look_at(const struct pf_elf *elf)
{
	struct pf_elf_segment segments[8];
	struct pf_elf_table table;
	struct pf_elf *more;
	char path[PATH_MAX];

	pf_elf_segments(elf, segments, PF_COUNT(segments));
	pf_elf_full_table(elf, &table);
	pf_elf_exported_table(elf, &table);
	for (size_t i = 0; i < 64; i++)
		pf_elf_section_end(elf, i);
	pf_elf_has_section(elf, ".debug_info");
	if (pf_elf_open_debug(&more, path, elf, "/nowhere/x", "/nowhere") == 0)
		pf_elf_close(more);
	if (pf_elf_open_minidebug(&more, elf) == 0) {
		pf_elf_full_table(more, &table);
		pf_elf_close(more);
	}
}

static void find_names(const char *path, size_t size)
{
	struct pf_mapping mapping = {
	    .start = 0x10000, .limit = 0x10000 + size, .path = path, .build_id = ""};
	struct pf_demangler *demangler = pf_demangler_create();
	struct pf_module *module = NULL;
	struct pf_module_name name;

	if (demangler && pf_module_load(&module, &mapping, "/nowhere") == 0) {
		for (uint64_t at = 0; at < size && at < 4096; at += 7)
			if (pf_module_find(module, demangler, at, &name) &&
			    strlen(name.function) + strlen(name.system) == 0)
				abort();
		pf_module_find(module, demangler, UINT64_MAX, &name);
	}
	pf_module_destroy(module);
	pf_demangler_destroy(demangler);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct pf_elf *elf;
	char path[64];
	int fd;

	if (size == 0)
		return 0;
	if (pf_elf_open_memory(&elf, bytes, size) == 0) {
		look_at(elf);
		pf_elf_close(elf);
	}
	fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	find_names(path, size);
	close(fd);
	return 0;
}
