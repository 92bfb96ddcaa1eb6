#include "sampler/past_look.h"
#include "sampler/past.h"
#include "sampler/unwind_image.h"

#include <elf.h>
#include <link.h>
#include <string.h>

enum { PAGE_BYTES = 4096, CODE_BYTES = 1024 };

struct look {
	bool begun;
	uint32_t number; /* 0: nothing has changed */
};

/* ---- which file is it? Its notes and code are mapped as long as the loader's lock is held ---- */

/* FNV-1a over words; what is left of the last one, too. */
static PF_HOOK uint64_t add_hash(uint64_t hash, const void *data, size_t size)
{
	const unsigned char *at = data;
	uint64_t word = 0;

	for (; size >= sizeof(word); at += sizeof(word), size -= sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		hash = (hash ^ word) * 0x100000001b3ull;
		hash ^= hash >> 29;
	}
	for (word = 0; size > 0; size--)
		word = word << 8 | *at++;
	return ((hash ^ word) * 0x100000001b3ull) ^ hash >> 31;
}

static PF_HOOK size_t align_up(size_t size, size_t alignment)
{
	return (size + alignment - 1) & ~(alignment - 1);
}

static PF_HOOK void take_build_id(
    struct pf_past_file *file, const char *at, size_t left, size_t alignment)
{
	ElfW(Nhdr) note;

	while (left >= sizeof(note)) {
		size_t name, whole;

		memcpy(&note, at, sizeof(note));
		name = sizeof(note) + align_up(note.n_namesz, alignment);
		whole = name + align_up(note.n_descsz, alignment);
		if (note.n_namesz > left || note.n_descsz > left || whole > left)
			return;
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof(ELF_NOTE_GNU) &&
		    memcmp(at + sizeof(note), ELF_NOTE_GNU, sizeof(ELF_NOTE_GNU)) == 0) {
			file->build_id_size =
			    note.n_descsz < PF_PAST_BUILD_ID ? note.n_descsz : PF_PAST_BUILD_ID;
			memcpy(file->build_id, at + name, file->build_id_size);
			return;
		}
		at += whole;
		left -= whole;
	}
}

/* Without a build id two files of one name are told apart by their code. */
static PF_HOOK void identify(struct pf_past_file *file, const struct dl_phdr_info *info)
{
	size_t length = 0;

	file->build_id_size = 0;
	file->name = info->dlpi_name ? info->dlpi_name : "";
	for (int i = 0; i < info->dlpi_phnum && file->build_id_size == 0; i++) {
		const ElfW(Phdr) *phdr = &info->dlpi_phdr[i];

		if (phdr->p_type == PT_NOTE)
			take_build_id(file, (const char *)(info->dlpi_addr + phdr->p_vaddr),
			    phdr->p_memsz, phdr->p_align == 8 ? 8 : 4);
	}
	while (length < PF_PAST_NAME_MAX && file->name[length] != '\0')
		length++;
	file->hash = add_hash(0xcbf29ce484222325ull, file->name, length);
	file->hash = add_hash(file->hash, file->build_id, file->build_id_size);
	if (file->build_id_size == 0)
		file->hash = add_hash(
		    file->hash, info->dlpi_phdr, (size_t)info->dlpi_phnum * sizeof(ElfW(Phdr)));
}

static PF_HOOK void see_segment(uint32_t look, struct pf_past_file file,
    const struct dl_phdr_info *info, const ElfW(Phdr) * phdr)
{
	uint64_t low = info->dlpi_addr + phdr->p_vaddr, start = low & ~(uint64_t)(PAGE_BYTES - 1);
	size_t code = phdr->p_filesz < CODE_BYTES ? phdr->p_filesz : CODE_BYTES;

	if (file.build_id_size == 0 && (phdr->p_flags & PF_R))
		file.hash = add_hash(file.hash, (const void *)(uintptr_t)low, code);
	file.offset = phdr->p_offset & ~(uint64_t)(PAGE_BYTES - 1);
	file.size = align_up(low + phdr->p_memsz, PAGE_BYTES) - start;
	file.hash = add_hash(file.hash, &file.offset, sizeof(file.offset));
	pf_past_look_see(look, start, &file);
}

static PF_HOOK int see(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct look *look = arg;
	struct pf_past_file file;

	(void)size;
	if (!look->begun && !pf_past_look_begin(info->dlpi_adds, info->dlpi_subs, &look->number))
		return 1; /* each module tells the same numbers */
	look->begun = true;
	if (pf_unwind_image_is_permanent((uintptr_t)info->dlpi_phdr))
		return 0;
	identify(&file, info);
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD && (info->dlpi_phdr[i].p_flags & PF_X))
			see_segment(look->number, file, info, &info->dlpi_phdr[i]);
	return 0;
}

PF_HOOK void pf_past_look(void)
{
	struct look look = {.begun = false};

	dl_iterate_phdr(see, &look);
	pf_past_look_end(look.number);
}

/* The module may run code of its own until it is gone, and another thread may at once put another
 * in its place: what happens between the two has a generation of its own. */
PF_HOOK void pf_past_close_begin(void)
{
	pf_past_look();
	pf_past_step();
}

PF_HOOK void pf_past_close_end(void)
{
	pf_past_look();
}
