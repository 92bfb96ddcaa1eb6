#include "render/elf.h"
#include "base/buf.h"
#include "base/memory.h"
#include "base/profile.h"
#include "render/gzip.h"
#include "render/xz.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The .gnu_debugdata of a 100 MB program is about 1 MB and unpacks to a few. */
enum { MINIDEBUG_PACKED_MAX = 16 << 20, MINIDEBUG_MAX = 64 << 20 };

struct pf_elf {
	int fd; /* -1: in memory */
	struct stat stat;
	char *image;
	size_t size;
	Elf *elf;
	char build_id[PF_BUILD_ID_TEXT];
};

/* libdw could tell that and where the debug file is; but for these two it would be opened, with what it needs,
 * in every process that has a tree. */
static bool take_build_id(struct pf_elf *elf, Elf_Data *notes)
{
	size_t at = 0, next, name, bytes;
	GElf_Nhdr note;

	while (notes && (next = gelf_getnote(notes, at, &note, &name, &bytes)) > 0) {
		const unsigned char *id = (const unsigned char *)notes->d_buf + bytes;
		size_t length = note.n_descsz;

		at = next;
		if (note.n_type != NT_GNU_BUILD_ID || note.n_namesz != sizeof(ELF_NOTE_GNU) ||
		    memcmp((const char *)notes->d_buf + name, ELF_NOTE_GNU, sizeof(ELF_NOTE_GNU)) !=
			0)
			continue;
		if (length > (PF_BUILD_ID_TEXT - 1) / 2)
			length = (PF_BUILD_ID_TEXT - 1) / 2;
		for (size_t i = 0; i < length; i++)
			snprintf(elf->build_id + 2 * i, 3, "%02x", id[i]);
		return true;
	}
	return false;
}

/* In a file without sections the segments have it. */
static void read_build_id(struct pf_elf *elf)
{
	Elf_Scn *section = elf_nextscn(elf->elf, NULL);
	GElf_Shdr header;
	GElf_Phdr segment;
	size_t total = 0;

	if (!section)
		elf_getphdrnum(elf->elf, &total);
	for (; section; section = elf_nextscn(elf->elf, section))
		if (gelf_getshdr(section, &header) && header.sh_type == SHT_NOTE &&
		    take_build_id(elf, elf_getdata(section, NULL)))
			return;
	for (size_t i = 0; i < total && i < INT_MAX; i++)
		if (gelf_getphdr(elf->elf, (int)i, &segment) && segment.p_type == PT_NOTE &&
		    take_build_id(elf,
			elf_getdata_rawchunk(elf->elf, (int64_t)segment.p_offset, segment.p_filesz,
			    segment.p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR)))
			return;
}

/* Is it an ELF file that this machine could have mapped? */
static int check(struct pf_elf *elf)
{
	static const int class = sizeof(ElfW(Addr)) == 8 ? ELFCLASS64 : ELFCLASS32;
	static const int order =
	    __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB;
	GElf_Ehdr header;

	if (!elf->elf || elf_kind(elf->elf) != ELF_K_ELF || !gelf_getehdr(elf->elf, &header) ||
	    header.e_ident[EI_CLASS] != class || header.e_ident[EI_DATA] != order)
		return -ENOEXEC;
	read_build_id(elf);
	return 0;
}

static int open_file(struct pf_elf *elf, const char *path)
{
	/* Not to wait for a FIFO's writer, nor to become a terminal's. */
	elf->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (elf->fd < 0 || fstat(elf->fd, &elf->stat) < 0)
		return -errno;
	if (!S_ISREG(elf->stat.st_mode))
		return -ENOEXEC;
	elf->size = (size_t)elf->stat.st_size;
	elf->elf = elf_begin(elf->fd, ELF_C_READ, NULL);
	return check(elf);
}

static int open_image(struct pf_elf *elf, const void *bytes, size_t length)
{
	elf->image = pf_memory_new(1, length);
	if (!elf->image)
		return -ENOMEM;
	memcpy(elf->image, bytes, length);
	elf->size = length;
	elf->elf = elf_memory(elf->image, length);
	return check(elf);
}

static int open_either(struct pf_elf **out, const char *path, const void *bytes, size_t length)
{
	struct pf_elf *elf = calloc(1, sizeof(*elf));
	int rc;

	*out = NULL;
	if (!elf)
		return -ENOMEM;
	elf->fd = -1;
	elf_version(EV_CURRENT);
	rc = path ? open_file(elf, path) : open_image(elf, bytes, length);
	if (rc < 0) {
		pf_elf_close(elf);
		return rc;
	}
	*out = elf;
	return 0;
}

int pf_elf_open(struct pf_elf **out, const char *path)
{
	return open_either(out, path, NULL, 0);
}

int pf_elf_open_memory(struct pf_elf **out, const void *bytes, size_t length)
{
	return open_either(out, NULL, bytes, length);
}

void pf_elf_close(struct pf_elf *elf)
{
	if (!elf)
		return;
	elf_end(elf->elf);
	if (elf->fd >= 0)
		close(elf->fd);
	pf_memory_free(elf->image);
	free(elf);
}

const char *pf_elf_build_id(const struct pf_elf *elf)
{
	return elf->build_id;
}

const struct stat *pf_elf_stat(const struct pf_elf *elf)
{
	return &elf->stat;
}

size_t pf_elf_segments(const struct pf_elf *elf, struct pf_elf_segment *out, size_t max)
{
	size_t total, count = 0;

	if (elf_getphdrnum(elf->elf, &total) < 0)
		return 0;
	for (int executable = 1; executable >= 0; executable--) {
		for (size_t i = 0; i < total && i < INT_MAX && count < max; i++) {
			GElf_Phdr segment;

			if (gelf_getphdr(elf->elf, (int)i, &segment) && segment.p_type == PT_LOAD &&
			    !!(segment.p_flags & PF_X) == executable)
				out[count++] = (struct pf_elf_segment){
				    segment.p_offset, segment.p_filesz, segment.p_vaddr};
		}
	}
	return count;
}

static bool inside(const struct pf_elf *elf, uint64_t offset, uint64_t size)
{
	return offset <= elf->size && size <= elf->size - offset;
}

static int find_table(const struct pf_elf *elf, uint32_t type, struct pf_elf_table *out)
{
	Elf_Scn *section = NULL;

	while ((section = elf_nextscn(elf->elf, section)) != NULL) {
		GElf_Shdr symbols, names;

		if (!gelf_getshdr(section, &symbols) || symbols.sh_type != type)
			continue;
		if (!gelf_getshdr(elf_getscn(elf->elf, symbols.sh_link), &names) ||
		    names.sh_type != SHT_STRTAB || !inside(elf, names.sh_offset, names.sh_size) ||
		    !inside(elf, symbols.sh_offset, symbols.sh_size))
			return -ENOENT;
		*out = (struct pf_elf_table){
		    .offset = symbols.sh_offset,
		    .count = symbols.sh_size / sizeof(ElfW(Sym)),
		    .names_offset = names.sh_offset,
		    .names_size = names.sh_size,
		};
		return 0;
	}
	return -ENOENT;
}

int pf_elf_full_table(const struct pf_elf *elf, struct pf_elf_table *out)
{
	return find_table(elf, SHT_SYMTAB, out);
}

int pf_elf_exported_table(const struct pf_elf *elf, struct pf_elf_table *out)
{
	return find_table(elf, SHT_DYNSYM, out);
}

uint64_t pf_elf_section_end(const struct pf_elf *elf, size_t section)
{
	GElf_Shdr header;

	if (!gelf_getshdr(elf_getscn(elf->elf, section), &header))
		return 0;
	return header.sh_addr + header.sh_size;
}

ssize_t pf_elf_read(const struct pf_elf *elf, void *out, size_t length, uint64_t offset)
{
	ssize_t got;

	if (offset >= elf->size)
		return 0;
	if (length > elf->size - offset)
		length = elf->size - offset;
	if (elf->image) {
		memcpy(out, elf->image + offset, length);
		return (ssize_t)length;
	}
	got = pread(elf->fd, out, length, (off_t)offset);
	return got < 0 ? -errno : got;
}

int pf_elf_section(const struct pf_elf *elf, const char *name, struct pf_elf_section *out)
{
	Elf_Scn *section = NULL;
	size_t names;

	if (elf_getshdrstrndx(elf->elf, &names) < 0)
		return -ENOENT;
	while ((section = elf_nextscn(elf->elf, section)) != NULL) {
		GElf_Shdr header;
		const char *found;

		if (!gelf_getshdr(section, &header))
			continue;
		found = elf_strptr(elf->elf, names, header.sh_name);
		if (!found || strcmp(found, name) != 0)
			continue;
		*out = (struct pf_elf_section){header.sh_offset, header.sh_size, header.sh_addr};
		return inside(elf, out->offset, out->size) ? 0 : -ENOENT;
	}
	return -ENOENT;
}

bool pf_elf_has_section(const struct pf_elf *elf, const char *name)
{
	struct pf_elf_section found;

	return pf_elf_section(elf, name, &found) == 0 && found.size > 0;
}

int pf_elf_open_minidebug(struct pf_elf **out, const struct pf_elf *elf)
{
	PF_SCOPED(pf_buf) packed = PF_BUF_INIT;
	PF_SCOPED(pf_buf) plain = PF_BUF_INIT;
	struct pf_elf_section s;
	char *room;
	int rc = pf_elf_section(elf, ".gnu_debugdata", &s);

	*out = NULL;
	if (rc < 0)
		return rc;
	if (s.size == 0)
		return -EINVAL;
	if (s.size > MINIDEBUG_PACKED_MAX)
		return -EFBIG;
	room = pf_buf_room(&packed, s.size);
	if (!room)
		return packed.error;
	if (pf_elf_read(elf, room, s.size, s.offset) != (ssize_t)s.size)
		return -EINVAL;
	rc = pf_xz_unpack(&plain, room, s.size, MINIDEBUG_MAX);
	if (rc < 0)
		return rc;
	return pf_elf_open_memory(out, plain.at, plain.length);
}

/* ---- the separate debug file ---- */

static int crc_of(const struct pf_elf *elf, uint32_t *out)
{
	PF_SCOPED(pf_buf) piece = PF_BUF_INIT;
	enum { PIECE_BYTES = 256 * 1024 };
	char *room = pf_buf_room(&piece, PIECE_BYTES);
	uint32_t crc = 0;
	ssize_t got;

	if (!room)
		return piece.error;
	for (uint64_t at = 0; (got = pf_elf_read(elf, room, PIECE_BYTES, at)) > 0;
	     at += (uint64_t)got)
		crc = pf_gzip_crc(crc, room, (size_t)got);
	*out = crc;
	return (int)got;
}

/* Does this file at `path` hold the names of `elf`? Kept open in *out if so. */
static bool open_if_fits(
    struct pf_elf **out, const struct pf_elf *elf, const char *path, const uint32_t *wanted_crc)
{
	struct pf_elf_table table;
	uint32_t crc = 0;
	bool fits;

	if (pf_elf_open(out, path) < 0)
		return false;
	if (elf->build_id[0] && (*out)->build_id[0])
		fits = strcmp(elf->build_id, (*out)->build_id) == 0;
	else
		fits = wanted_crc && crc_of(*out, &crc) == 0 && crc == *wanted_crc;
	if (fits && pf_elf_full_table(*out, &table) == 0)
		return true;
	pf_elf_close(*out);
	*out = NULL;
	return false;
}

static bool PF_PRINTF(2, 3) format_path(char *out, const char *format, ...)
{
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(out, PATH_MAX, format, args);
	va_end(args);
	return length > 0 && length < PATH_MAX;
}

/* .gnu_debuglink: a file name, its end filled up to four bytes, and the checksum of that file. */
static bool read_debug_link(const struct pf_elf *elf, char name[NAME_MAX + 1], uint32_t *crc)
{
	char bytes[NAME_MAX + 1 + sizeof(*crc)];
	struct pf_elf_section s;
	size_t length, end;

	if (pf_elf_section(elf, ".gnu_debuglink", &s) < 0 || s.size > sizeof(bytes) ||
	    pf_elf_read(elf, bytes, s.size, s.offset) != (ssize_t)s.size)
		return false;
	length = strnlen(bytes, s.size);
	end = (length + 1 + 3) & ~(size_t)3;
	if (length == 0 || length > NAME_MAX || end + sizeof(*crc) > s.size)
		return false;
	memcpy(name, bytes, length + 1);
	memcpy(crc, bytes + end, sizeof(*crc));
	return true;
}

int pf_elf_open_debug(struct pf_elf **out, char *path_out, const struct pf_elf *elf,
    const char *path, const char *root)
{
	const char *id = elf->build_id;
	const char *slash = strrchr(path, '/');
	int folder = slash ? (int)(slash - path) : 0;
	char link[NAME_MAX + 1];
	uint32_t crc = 0;

	*out = NULL;
	if (strlen(id) > 2 &&
	    format_path(path_out, "%s/.build-id/%.2s/%s.debug", root, id, id + 2) &&
	    open_if_fits(out, elf, path_out, NULL))
		return 0;
	if (!slash || !read_debug_link(elf, link, &crc) || strchr(link, '/'))
		return -ENOENT;
	if (format_path(path_out, "%.*s/%s", folder, path, link) &&
	    open_if_fits(out, elf, path_out, &crc))
		return 0;
	if (format_path(path_out, "%.*s/.debug/%s", folder, path, link) &&
	    open_if_fits(out, elf, path_out, &crc))
		return 0;
	if (format_path(path_out, "%s%.*s/%s", root, folder, path, link) &&
	    open_if_fits(out, elf, path_out, &crc))
		return 0;
	return -ENOENT;
}
