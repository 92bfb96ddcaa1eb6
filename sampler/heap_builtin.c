#include "sampler/heap_builtin.h"
#include "base/mark.h"
#include "base/place.h"
#include "sampler/gate.h"
#include "sampler/operator.h"
#include "sampler/real.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
	const char *symbol;
	const char *said;
} allocators[] = {
    {"_rjem_malloc", "jemalloc is built into the executable: its calls cannot be seen"},
    {"je_malloc", "jemalloc is built into the executable: its calls cannot be seen"},
    {"mi_malloc", "mimalloc is built into the executable: its calls cannot be seen"},
    {"tc_malloc", "tcmalloc is built into the executable: its calls cannot be seen"},
    {"rpmalloc", "rpmalloc is built into the executable: its calls cannot be seen"},
    {"sn_malloc", "snmalloc is built into the executable: its calls cannot be seen"},
    {"dlmalloc", "dlmalloc is built into the executable: its calls cannot be seen"},
    {"malloc", "a malloc that is hidden in the executable: its calls cannot be seen"},
};

/* A mapped file, of which nothing is believed. */
struct file {
	const char *bytes;
	size_t size;
	/* Where its table of symbols has them; 0: it has none. */
	uint64_t news[PF_REAL_NEWS], allocate, raise; /* raise: __cxa_throw */
};

/* `count` items of `size` bytes at this offset, or NULL: they are not all in the file. */
static const void *part(const struct file *file, uint64_t offset, uint64_t count, size_t size)
{
	uint64_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes) || bytes > file->size ||
	    offset > file->size - bytes || offset % 8 != 0)
		return NULL;
	return file->bytes + offset;
}

/* Is this the symbol's name? */
static bool is_named(
    const struct file *file, const ElfW(Shdr) * names, const ElfW(Sym) * symbol, const char *name)
{
	size_t length = strlen(name) + 1;

	return symbol->st_shndx != SHN_UNDEF && symbol->st_name < names->sh_size &&
	       length <= names->sh_size - symbol->st_name &&
	       memcmp(file->bytes + names->sh_offset + symbol->st_name, name, length) == 0;
}

static void note(struct file *file, const ElfW(Shdr) * names, const ElfW(Sym) * symbol)
{
	for (int i = 0; i < PF_REAL_NEWS; i++)
		if (is_named(file, names, symbol, pf_real_news[i]))
			file->news[i] = symbol->st_value;
	if (is_named(file, names, symbol, "__cxa_allocate_exception"))
		file->allocate = symbol->st_value;
	if (is_named(file, names, symbol, "__cxa_throw"))
		file->raise = symbol->st_value;
}

static const char *find_in_table(
    struct file *file, const ElfW(Shdr) * table, const ElfW(Shdr) * names)
{
	size_t count = table->sh_size / sizeof(ElfW(Sym));
	const ElfW(Sym) *symbols = part(file, table->sh_offset, count, sizeof(*symbols));

	if (!symbols || names->sh_size > file->size ||
	    names->sh_offset > file->size - names->sh_size)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < PF_COUNT(allocators); k++)
			if (is_named(file, names, &symbols[i], allocators[k].symbol))
				return allocators[k].said;
		note(file, names, &symbols[i]);
	}
	return NULL;
}

static const char *find_in_file(struct file *file)
{
	const ElfW(Ehdr) *header = part(file, 0, 1, sizeof(*header));
	const ElfW(Shdr) * sections;
	const char *said = NULL;

	if (!header || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
		return NULL;
	sections = part(file, header->e_shoff, header->e_shnum, sizeof(*sections));
	if (!sections)
		return NULL;
	for (int i = 0; i < header->e_shnum && !said; i++)
		if ((sections[i].sh_type == SHT_SYMTAB || sections[i].sh_type == SHT_DYNSYM) &&
		    sections[i].sh_link < header->e_shnum)
			said = find_in_table(file, &sections[i], &sections[sections[i].sh_link]);
	return said;
}

static enum pf_operator_calls calls_of(
    uint64_t symbol, const struct file *file, const struct link_map *executable)
{
	void *function = (void *)(executable->l_addr + symbol);
	struct pf_reach_throw throws = {
	    .allocate = file->allocate ? executable->l_addr + file->allocate : 0,
	    .raise = file->raise ? executable->l_addr + file->raise : 0,
	};
	enum pf_operator_calls calls;

	if (!symbol || pf_real_has_looked_at(function))
		return PF_OPERATOR_SEEN;
	pf_gate_enter();
	calls = pf_operator_calls(
	    function, &throws, pf_real_module(pf_real_pointers[PF_REAL_malloc]), true);
	pf_gate_leave();
	return calls;
}

/* The least that is seen of an operator new, also of those that no other module may call, and that the loader
 * does not know. */
static enum pf_operator_calls least_calls(const struct file *file)
{
	const struct link_map *executable = pf_real_module((void *)getauxval(AT_ENTRY));
	enum pf_operator_calls least = pf_real_operator_calls();

	for (int i = 0; executable && i < PF_REAL_NEWS; i++) {
		enum pf_operator_calls calls = calls_of(file->news[i], file, executable);

		if (calls > least)
			least = calls;
	}
	return least;
}

const char *pf_heap_builtin(void)
{
	static const char *const operators[] = {
	    [PF_OPERATOR_HIDDEN] =
		"the executable has an operator new of its own, beside malloc: its calls cannot be seen",
	    [PF_OPERATOR_UNKNOWN] =
		"the executable has an operator new of its own: its calls are seen where it calls malloc, "
		"which its code does not tell",
	};
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct file file = {0};
	struct stat st;
	const char *said = NULL;

	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0) {
		file.size = (size_t)st.st_size;
		file.bytes = pf_place_map(file.size, PROT_READ, 0, fd);
		if (file.bytes != MAP_FAILED) {
			said = find_in_file(&file);
			munmap((void *)file.bytes, file.size);
		}
	}
	if (fd >= 0)
		close(fd);
	return said ? said : operators[least_calls(&file)];
}
