#include "fs/buildinfo.h"
#include "base/buf.h"
#include "fs/live.h"
#include "fs/proc.h"

#include <elf.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>

#ifdef __clang__
#define COMPILER __VERSION__ /* says itself that it is clang */
#else
#define COMPILER "gcc " __VERSION__
#endif

static const struct {
	const char *name, *version;
} parts[] = {
    {"compiler", COMPILER},
    {"libfuse", PF_WITH_FUSE},
    {"zlib", PF_WITH_ZLIB},
    {"protobuf-c", PF_WITH_PROTOBUF_C},
    {"elfutils", PF_WITH_ELFUTILS},
};

/* ---- modules, by an address in them ---- */

/* The loader is not asked: it has a lock that the program may hold. */
struct module {
	uint64_t header; /* where its file begins in memory; 0: not known */
	char path[4096];
};

/* One line of /proc/self/maps; path: "" where there is none. */
static bool parse_map(
    const char *line, uint64_t *start, uint64_t *limit, uint64_t *offset, char path[4096])
{
	unsigned long long a, b, o;

	path[0] = '\0';
	if (sscanf(line, "%llx-%llx %*4s %llx %*s %*u %4095[^\n]", &a, &b, &o, path) < 3)
		return false;
	*start = a;
	*limit = b;
	*offset = o;
	return true;
}

/* What is mapped at `address`. Of one file, the mapping at offset 0 comes first. */
static void find_module(const char *maps, uint64_t address, struct module *out)
{
	uint64_t start, limit, offset, header = 0;
	char path[4096], begun[4096] = "";

	*out = (struct module){.header = 0};
	for (const char *line = maps; *line; line = strchrnul(line, '\n') + 1) {
		if (!parse_map(line, &start, &limit, &offset, path))
			break;
		if (offset == 0) {
			header = start;
			strcpy(begun, path);
		}
		if (address >= start && address < limit) {
			out->header = strcmp(begun, path) == 0 ? header : 0;
			strcpy(out->path, path);
			return;
		}
		if (strchrnul(line, '\n')[0] == '\0')
			break;
	}
}

static bool print_note(struct pf_buf *out, const char *notes, size_t length)
{
	size_t at = 0;

	while (at + sizeof(ElfW(Nhdr)) <= length) {
		const ElfW(Nhdr) *note = (const void *)(notes + at);
		size_t name = at + sizeof(*note);
		size_t bytes = name + ((note->n_namesz + 3u) & ~3u);

		if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 &&
		    memcmp(notes + name, "GNU", 4) == 0 && bytes + note->n_descsz <= length) {
			for (size_t i = 0; i < note->n_descsz; i++)
				pf_buf_printf(out, "%02x", (unsigned char)notes[bytes + i]);
			return true;
		}
		at = bytes + ((note->n_descsz + 3u) & ~3u);
	}
	return false;
}

static void print_build_id(struct pf_buf *out, const struct module *m)
{
	const ElfW(Ehdr) *elf = (const void *)(uintptr_t)m->header;
	const ElfW(Phdr) * segments;

	if (!elf || memcmp(elf->e_ident, ELFMAG, SELFMAG) != 0) {
		pf_buf_str(out, "-");
		return;
	}
	segments = (const void *)(uintptr_t)(m->header + elf->e_phoff);
	for (size_t i = 0; i < elf->e_phnum; i++)
		if (segments[i].p_type == PT_NOTE &&
		    print_note(out, (const char *)(uintptr_t)(m->header + segments[i].p_offset),
			segments[i].p_filesz))
			return;
	pf_buf_str(out, "-");
}

/* "program BUILDID PATH" */
static void print_module(struct pf_buf *out, const char *name, const char *maps, uint64_t address)
{
	struct module m;

	find_module(maps, address, &m);
	pf_buf_printf(out, "%-12s ", name);
	print_build_id(out, &m);
	pf_buf_char(out, ' ');
	pf_buf_plain(out, m.path);
	pf_buf_char(out, '\n');
}

void pf_buildinfo_show(struct pf_buf *out, struct pf_live *live, int arg)
{
	struct pf_buf text = PF_BUF_INIT;
	const char *maps;
	int rc = pf_proc_read_own(&text, "maps");

	if (rc < 0 && !pf_proc_is_withheld(rc))
		pf_buf_fail(out, rc);
	maps = pf_buf_text(&text);
	pf_buf_printf(out, "%-12s %s\n", "version", PF_VERSION);
	pf_buf_str(out, "# module, build id, file\n");
	print_module(out, "program", maps, getauxval(AT_PHDR));
	print_module(out, "libproffs", maps, (uint64_t)(uintptr_t)live->door);
	print_module(out, "tree", maps, (uint64_t)(uintptr_t)&pf_table);
	pf_buf_str(out, "# built with\n");
	for (size_t i = 0; i < PF_COUNT(parts); i++)
		pf_buf_printf(out, "%-12s %s\n", parts[i].name, parts[i].version);
	pf_buf_finish(&text);
}
