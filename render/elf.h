/* ELF: what profiles need of an object file: its build id, its segments, where its symbol tables
 * lie, and where its separate debug file may be.
 *
 * The file belongs to somebody else and may be cut or rewritten at any moment, so it is read
 * (pread), never mapped: a file that changes gives wrong bytes, which are checked, not SIGBUS.
 * Only the machine's own class and byte order: these files are mapped into this very process.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

struct pf_elf;

/* 0; -ENOENT and its like from open(); -ENOEXEC: no ELF file, or another machine's; -ENOMEM. */
int pf_elf_open(struct pf_elf **out, const char *path);
/* The same from memory (copied): the vdso, or an unpacked .gnu_debugdata. */
int pf_elf_open_memory(struct pf_elf **out, const void *bytes, size_t length);
void pf_elf_close(struct pf_elf *elf); /* takes NULL */

/* Lower-case hex (of at most 20 bytes, as in struct pf_mapping), or "". Lives as long as `elf`. */
const char *pf_elf_build_id(const struct pf_elf *elf);

/* Who the file is, to know it again; all zero for one in memory. */
const struct stat *pf_elf_stat(const struct pf_elf *elf);

/* Loadable segments: the bytes [offset, offset + size) of the file live at `address` (as in symbol
 * tables). At most `max`, executable ones first; returns how many. */
struct pf_elf_segment {
	uint64_t offset, size, address;
};
size_t pf_elf_segments(const struct pf_elf *elf, struct pf_elf_segment *out, size_t max);

/* A symbol table and its names, as they lie in the file; both wholly inside it. */
struct pf_elf_table {
	uint64_t offset, count; /* of ElfW(Sym) */
	uint64_t names_offset, names_size;
};

/* .symtab (all) or .dynsym (exported only): 0 or -ENOENT. */
int pf_elf_full_table(const struct pf_elf *elf, struct pf_elf_table *out);
int pf_elf_exported_table(const struct pf_elf *elf, struct pf_elf_table *out);

/* A section by name, wholly inside the file: 0 or -ENOENT. */
struct pf_elf_section {
	uint64_t offset, size, address;
};
int pf_elf_section(const struct pf_elf *elf, const char *name, struct pf_elf_section *out);

bool pf_elf_has_section(const struct pf_elf *elf, const char *name);

/* The first address behind a section, 0 for no such section. */
uint64_t pf_elf_section_end(const struct pf_elf *elf, size_t section);

/* Bytes at a file offset: how many could be read (less at the end), or -errno. */
ssize_t pf_elf_read(const struct pf_elf *elf, void *out, size_t length, uint64_t offset);

/* The separate debug file of a stripped one: by build id under `root` ("/usr/lib/debug"), else by
 * .gnu_debuglink beside `path`, in .debug beside it, and under root. Its build id, or without one
 * its CRC, fits. 0, -ENOENT, -ENOMEM; *path_out (PATH_MAX bytes) is where it is. */
int pf_elf_open_debug(struct pf_elf **out, char *path_out, const struct pf_elf *elf,
    const char *path, const char *root);

/* The small ELF file with function names that some systems put into .gnu_debugdata (xz): unpacked,
 * bounded. 0, -ENOENT, -EINVAL, -EFBIG, -ENOEXEC, -ENOMEM. */
int pf_elf_open_minidebug(struct pf_elf **out, const struct pf_elf *elf);
