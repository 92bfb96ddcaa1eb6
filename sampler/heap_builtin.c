#include "sampler/heap_builtin.h"
#include "base/mark.h"
#include "base/place.h"
#include "sampler/real.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
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

static const char *find_in_table(
    const struct file *file, const ElfW(Shdr) * table, const ElfW(Shdr) * names)
{
	size_t count = table->sh_size / sizeof(ElfW(Sym));
	const ElfW(Sym) *symbols = part(file, table->sh_offset, count, sizeof(*symbols));

	if (!symbols || names->sh_size > file->size ||
	    names->sh_offset > file->size - names->sh_size)
		return NULL;
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < PF_COUNT(allocators); k++) {
			size_t length = strlen(allocators[k].symbol) + 1;

			if (symbols[i].st_shndx != SHN_UNDEF &&
			    symbols[i].st_name < names->sh_size &&
			    length <= names->sh_size - symbols[i].st_name &&
			    memcmp(file->bytes + names->sh_offset + symbols[i].st_name,
				allocators[k].symbol, length) == 0)
				return allocators[k].said;
		}
	return NULL;
}

static const char *find_in_file(const struct file *file)
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

static const char *find_in_executable(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct file file;
	struct stat st;
	const char *said = NULL;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0 && st.st_size > 0) {
		file.size = (size_t)st.st_size;
		file.bytes = pf_place_map(file.size, PROT_READ, 0, fd);
		if (file.bytes != MAP_FAILED) {
			said = find_in_file(&file);
			munmap((void *)file.bytes, file.size);
		}
	}
	close(fd);
	return said;
}

const char *pf_heap_builtin(void)
{
	const char *said = find_in_executable();

	if (!said && pf_real_hides_operators())
		said =
		    "the executable has an operator new of its own, beside malloc: its calls cannot be seen";
	return said;
}
