#include "sampler/map_build_id.h"
#include "sampler/own_memory.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEADERS_MAX = 64, NOTES_MAX = 4096, BUILD_ID_BYTES = (PF_BUILD_ID_TEXT - 1) / 2 };

/* A module, in memory (fd < 0) or in its file. */
struct module {
	int fd;
	uint64_t header; /* in memory */
	uint64_t first;  /* link-time address of the header */
};

/* `size` bytes that are at `offset` in the file and at link-time address `address` in memory. */
static bool read_module(
    const struct module *m, uint64_t offset, uint64_t address, void *out, size_t size)
{
	uintptr_t at;

	if (m->fd >= 0)
		return pread(m->fd, out, size, (off_t)offset) == (ssize_t)size;
	at = (uintptr_t)(m->header + (address - m->first));
	return pf_own_memory_read(out, (const void *)at, size) == (ssize_t)size;
}

static size_t align_up(size_t size, size_t alignment)
{
	return (size + alignment - 1) & ~(alignment - 1);
}

/* The build id among the notes: its length, or 0. */
static size_t find_note(const char *notes, size_t size, size_t alignment, const char **id)
{
	Elf64_Nhdr note;
	size_t name_at, id_at;

	for (size_t at = 0; at + sizeof(note) <= size;) {
		memcpy(&note, notes + at, sizeof(note));
		name_at = at + sizeof(note);
		id_at = name_at + align_up(note.n_namesz, alignment);
		if (note.n_namesz > size || note.n_descsz > size || id_at + note.n_descsz > size)
			return 0;
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof(ELF_NOTE_GNU) &&
		    memcmp(notes + name_at, ELF_NOTE_GNU, sizeof(ELF_NOTE_GNU)) == 0) {
			*id = notes + id_at;
			return note.n_descsz;
		}
		at = id_at + align_up(note.n_descsz, alignment);
	}
	return 0;
}

static void write_hex(const char *id, size_t size, char out[PF_BUILD_ID_TEXT])
{
	static const char digits[] = "0123456789abcdef";

	if (size > BUILD_ID_BYTES)
		size = BUILD_ID_BYTES;
	for (size_t i = 0; i < size; i++) {
		out[2 * i] = digits[(unsigned char)id[i] >> 4];
		out[2 * i + 1] = digits[(unsigned char)id[i] & 15];
	}
	out[2 * size] = '\0';
}

static bool take_segment(const struct module *m, const Elf64_Phdr *phdr, char out[PF_BUILD_ID_TEXT])
{
	char notes[NOTES_MAX];
	size_t size = phdr->p_filesz < sizeof(notes) ? phdr->p_filesz : sizeof(notes);
	const char *id;

	if (!read_module(m, phdr->p_offset, phdr->p_vaddr, notes, size))
		return false;
	size = find_note(notes, size, phdr->p_align == 8 ? 8 : 4, &id);
	if (size == 0)
		return false;
	write_hex(id, size, out);
	return true;
}

/* 0 when the module could be read, with or without an id; -errno. */
static int look(struct module *m, char out[PF_BUILD_ID_TEXT])
{
	Elf64_Ehdr header;
	Elf64_Phdr phdr[HEADERS_MAX];
	size_t count;

	if (!read_module(m, 0, 0, &header, sizeof(header)))
		return -errno;
	if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_phentsize != sizeof(phdr[0]))
		return 0;
	count = header.e_phnum < HEADERS_MAX ? header.e_phnum : HEADERS_MAX;
	if (!read_module(m, header.e_phoff, header.e_phoff, phdr, count * sizeof(phdr[0])))
		return 0;
	for (size_t i = count; i-- > 0;) {
		if (phdr[i].p_type == PT_LOAD) /* the lowest one is the last one seen */
			m->first = phdr[i].p_vaddr - phdr[i].p_offset;
	}
	for (size_t i = 0; i < count; i++) {
		if (phdr[i].p_type == PT_NOTE && take_segment(m, &phdr[i], out))
			return 0;
	}
	return 0;
}

static void look_in_file(const char *path, uint64_t inode, char out[PF_BUILD_ID_TEXT])
{
	struct module m = {.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
	struct stat st;

	if (m.fd < 0)
		return;
	if (fstat(m.fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_ino == inode)
		look(&m, out);
	close(m.fd);
}

void pf_map_build_id(uint64_t header, const char *path, uint64_t inode, char out[PF_BUILD_ID_TEXT])
{
	struct module m = {.fd = -1, .header = header};
	int rc;

	out[0] = '\0';
	if (header == 0)
		return;
	rc = look(&m, out);
	if ((rc == -EPERM || rc == -ENOSYS) && inode != 0)
		look_in_file(path, inode, out);
}
