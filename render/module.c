#include "render/module.h"
#include "base/buf.h"
#include "base/memory.h"
#include "base/profile.h"
#include "base/sort.h"
#include "render/demangle.h"
#include "render/elf.h"
#include "render/plt.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

enum {
	SOURCES_MAX = 3, /* .dynsym and .gnu_debugdata, or one .symtab; stubs */
	SEGMENTS_MAX = 8,
	SYMBOLS_MAX = 4 << 20, /* four times the largest browser: 96 MiB */
	NAME_BYTES_MAX = 64 * 1024,
	ALIASES_MAX = 256, /* names looked at for one address */
	NESTED_MAX = 64,   /* symbols looked back for one that is long enough */
};

/* rank: lower is better. */
enum { RANK_GLOBAL, RANK_LOCAL, RANK_STUB };

struct symbol {
	uint64_t address;
	uint32_t size;
	uint32_t name; /* into the source's names */
	uint32_t text; /* into pf_module.text, of the first symbol of an address; 0: not asked */
	uint8_t source;
	uint8_t rank;
	bool size_guessed; /* the file has none */
};

struct source {
	char *path; /* NULL: in memory */
	struct stat id;
	int fd;      /* -1: closed */
	char *names; /* in memory */
	uint64_t names_offset, names_size;
};

struct pf_module {
	char *path, *build_id; /* of the mapping */
	bool id_checked;       /* the file is the mapped one for certain */
	struct pf_elf_segment segments[SEGMENTS_MAX];
	size_t segment_count;
	struct source sources[SOURCES_MAX];
	size_t source_count;
	struct symbol *symbols;
	size_t symbol_count, symbol_capacity;
	struct pf_buf text; /* system name, NUL, name for people (empty: the same), NUL */
};

/* ---- loading ---- */

static int by_address(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	if (x->address != y->address)
		return x->address < y->address ? -1 : 1;
	if (x->source != y->source)
		return x->source < y->source ? -1 : 1;
	return x->name < y->name ? -1 : x->name > y->name;
}

/* One entry of a symbol table, if it is a function with a place. 0 or -ENOMEM. */
static int add_symbol(struct pf_module *m, const struct pf_elf *elf, const ElfW(Sym) * from)
{
	int type = from->st_info & 0xf;
	struct symbol *to;
	uint64_t size = from->st_size;

	if ((type != STT_FUNC && type != STT_GNU_IFUNC) || from->st_shndx == SHN_UNDEF ||
	    from->st_shndx >= SHN_LORESERVE || from->st_name == 0 || from->st_value == 0 ||
	    m->symbol_count == SYMBOLS_MAX)
		return 0;
	if (size == 0) {
		uint64_t end = pf_elf_section_end(elf, from->st_shndx);

		size = end > from->st_value ? end - from->st_value : 0;
	}
	if (size == 0)
		return 0;
	if (pf_vec_reserve((void **)&m->symbols, &m->symbol_capacity, sizeof(*m->symbols),
		m->symbol_count + 1) < 0)
		return -ENOMEM;
	to = &m->symbols[m->symbol_count++];
	*to = (struct symbol){
	    .address = from->st_value,
	    .size = size > UINT32_MAX ? UINT32_MAX : (uint32_t)size,
	    .name = from->st_name,
	    .source = (uint8_t)m->source_count,
	    .rank = from->st_info >> 4 == STB_LOCAL ? RANK_LOCAL : RANK_GLOBAL,
	    .size_guessed = from->st_size == 0,
	};
	return 0;
}

static int add_symbols(
    struct pf_module *m, const struct pf_elf *elf, const struct pf_elf_table *table)
{
	PF_SCOPED(pf_buf) piece = PF_BUF_INIT;
	enum { PIECE_SYMBOLS = 4096 };
	ElfW(Sym) *symbols = (void *)pf_buf_room(&piece, PIECE_SYMBOLS * sizeof(ElfW(Sym)));
	uint64_t left = table->count, at = table->offset;

	if (!symbols)
		return -ENOMEM;
	while (left > 0) {
		size_t want = left < PIECE_SYMBOLS ? left : PIECE_SYMBOLS;
		ssize_t got = pf_elf_read(elf, symbols, want * sizeof(*symbols), at);

		if (got < (ssize_t)sizeof(*symbols))
			return 0; /* cut meanwhile: what there was will do */
		want = (size_t)got / sizeof(*symbols);
		for (size_t i = 0; i < want; i++)
			if (add_symbol(m, elf, &symbols[i]) < 0)
				return -ENOMEM;
		left -= want;
		at += want * sizeof(*symbols);
	}
	return 0;
}

static int add_stub(void *module, const struct pf_plt_stub *stub)
{
	struct pf_module *m = module;

	if (m->symbol_count == SYMBOLS_MAX)
		return 0;
	if (pf_vec_reserve((void **)&m->symbols, &m->symbol_capacity, sizeof(*m->symbols),
		m->symbol_count + 1) < 0)
		return -ENOMEM;
	m->symbols[m->symbol_count++] = (struct symbol){
	    .address = stub->address,
	    .size = stub->size,
	    .name = stub->name,
	    .source = (uint8_t)m->source_count,
	    .rank = RANK_STUB,
	};
	return 0;
}

/* A table's functions (or the stubs that lead to them), and where their names are. `path` NULL: the
 * names are copied. */
static int add_source(struct pf_module *m, const struct pf_elf *elf, const char *path,
    const struct pf_elf_table *table, bool stubs)
{
	struct source *s = &m->sources[m->source_count];
	int rc;

	*s = (struct source){
	    .fd = -1,
	    .id = *pf_elf_stat(elf),
	    .names_offset = table->names_offset,
	    .names_size = table->names_size,
	};
	if (path) {
		s->path = strdup(path);
	} else {
		s->names = pf_memory_new(1, table->names_size + 1);
		if (s->names && pf_elf_read(elf, s->names, table->names_size,
				    table->names_offset) != (ssize_t)table->names_size)
			s->names_size = 0;
	}
	if (!s->path && !s->names)
		rc = -ENOMEM;
	else
		rc = stubs ? pf_plt_each(elf, table, add_stub, m) : add_symbols(m, elf, table);
	m->source_count++;
	return rc;
}

/* Both build ids known: equal. */
static bool fits(const struct pf_elf *elf, const struct pf_mapping *mapping)
{
	const char *id = pf_elf_build_id(elf);

	return !id[0] || !mapping->build_id[0] || strcmp(id, mapping->build_id) == 0;
}

static bool open_if_fits(struct pf_elf **out, const char *path, const struct pf_mapping *mapping)
{
	if (pf_elf_open(out, path) < 0)
		return false;
	if (fits(*out, mapping))
		return true;
	pf_elf_close(*out);
	*out = NULL;
	return false;
}

/* The mapped file itself; path_out (PATH_MAX bytes) is where. When it was replaced or deleted, the
 * kernel may still have it under other names, which only a build id makes safe to believe. */
static bool open_mapped(struct pf_elf **out, char *path_out, const struct pf_mapping *mapping)
{
	if (mapping->path[0] != '/')
		return false;
	if (snprintf(path_out, PATH_MAX, "%s", mapping->path) < PATH_MAX &&
	    open_if_fits(out, path_out, mapping))
		return true;
	if (!mapping->build_id[0])
		return false;
	snprintf(path_out, PATH_MAX, "/proc/self/map_files/%lx-%lx", (long)mapping->start,
	    (long)mapping->limit);
	if (open_if_fits(out, path_out, mapping))
		return true;
	snprintf(path_out, PATH_MAX, "/proc/self/exe");
	return open_if_fits(out, path_out, mapping);
}

static int load_functions(
    struct pf_module *m, struct pf_elf *elf, const char *path, const char *debug_root)
{
	struct pf_elf_table table;
	struct pf_elf *more;
	char more_path[PATH_MAX];
	int rc = 0;

	if (pf_elf_full_table(elf, &table) == 0)
		return add_source(m, elf, path, &table, false);
	if (path && pf_elf_open_debug(&more, more_path, elf, m->path, debug_root) == 0) {
		if (pf_elf_full_table(more, &table) == 0)
			rc = add_source(m, more, more_path, &table, false);
		pf_elf_close(more);
		return rc;
	}
	if (pf_elf_exported_table(elf, &table) == 0)
		rc = add_source(m, elf, path, &table, false);
	if (rc == 0 && pf_elf_open_minidebug(&more, elf) == 0) {
		if (pf_elf_full_table(more, &table) == 0)
			rc = add_source(m, more, NULL, &table, false);
		pf_elf_close(more);
	}
	return rc;
}

static int load_from(
    struct pf_module *m, struct pf_elf *elf, const char *path, const char *debug_root)
{
	struct pf_elf_table table;
	int rc;

	m->segment_count = pf_elf_segments(elf, m->segments, SEGMENTS_MAX);
	rc = load_functions(m, elf, path, debug_root);
	if (rc == 0 && path && pf_elf_exported_table(elf, &table) == 0)
		rc = add_source(m, elf, path, &table, true);
	return rc;
}

/* The sizes that were guessed for symbols[first..end), all of one address: as an alias says, else
 * up to the next symbol. */
static void settle_sizes(struct pf_module *m, size_t first, size_t end)
{
	uint32_t known = 0;

	for (size_t i = first; i < end; i++)
		if (!m->symbols[i].size_guessed && m->symbols[i].size > known)
			known = m->symbols[i].size;
	for (size_t i = first; i < end; i++) {
		struct symbol *s = &m->symbols[i];

		if (!s->size_guessed)
			continue;
		if (known)
			s->size = known;
		else if (end < m->symbol_count && m->symbols[end].address - s->address < s->size)
			s->size = (uint32_t)(m->symbols[end].address - s->address);
	}
}

static void settle(struct pf_module *m)
{
	size_t end;

	if (m->symbol_count == 0)
		return;
	pf_sort(m->symbols, m->symbol_count, sizeof(*m->symbols), by_address);
	for (size_t first = 0; first < m->symbol_count; first = end) {
		for (end = first + 1;
		     end < m->symbol_count && m->symbols[end].address == m->symbols[first].address;)
			end++;
		settle_sizes(m, first, end);
	}
}

int pf_module_load(struct pf_module **out, const struct pf_mapping *mapping, const char *debug_root)
{
	struct pf_module *m = calloc(1, sizeof(*m));
	struct pf_elf *elf = NULL;
	char path[PATH_MAX];
	int rc = 0;

	*out = NULL;
	if (!m)
		return -ENOMEM;
	m->path = strdup(mapping->path);
	m->build_id = strdup(mapping->build_id);
	pf_buf_char(&m->text, '\0'); /* so that no text is at 0 */
	if (!m->path || !m->build_id || m->text.error) {
		rc = -ENOMEM;
	} else if (open_mapped(&elf, path, mapping)) {
		m->id_checked = pf_elf_build_id(elf)[0] && mapping->build_id[0];
		rc = load_from(m, elf, path, debug_root);
	} else if (mapping->start && mapping->start == getauxval(AT_SYSINFO_EHDR)) {
		m->id_checked = true;
		if (pf_elf_open_memory(&elf, (const void *)(uintptr_t)mapping->start,
			mapping->limit - mapping->start) == 0)
			rc = load_from(m, elf, NULL, debug_root);
	}
	pf_elf_close(elf);
	if (rc < 0) {
		pf_module_destroy(m);
		return rc;
	}
	settle(m);
	*out = m;
	return 0;
}

void pf_module_rest(struct pf_module *m)
{
	for (size_t i = 0; i < m->source_count; i++) {
		if (m->sources[i].fd >= 0)
			close(m->sources[i].fd);
		m->sources[i].fd = -1;
	}
}

void pf_module_destroy(struct pf_module *m)
{
	if (!m)
		return;
	pf_module_rest(m);
	for (size_t i = 0; i < m->source_count; i++) {
		free(m->sources[i].path);
		pf_memory_free(m->sources[i].names);
	}
	pf_vec_free(m->symbols, m->symbol_capacity, sizeof(*m->symbols));
	pf_buf_finish(&m->text);
	free(m->path);
	free(m->build_id);
	free(m);
}

/* ---- who it is ---- */

bool pf_module_is(const struct pf_module *m, const struct pf_mapping *mapping)
{
	return strcmp(m->path, mapping->path) == 0 && strcmp(m->build_id, mapping->build_id) == 0;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

bool pf_module_is_stale(const struct pf_module *m)
{
	struct stat now;

	if (m->source_count == 0)
		return true; /* perhaps this time */
	if (m->id_checked)
		return false; /* what was read is true for ever */
	for (size_t i = 0; i < m->source_count; i++)
		if (m->sources[i].path &&
		    (stat(m->sources[i].path, &now) < 0 || !same_file(&now, &m->sources[i].id)))
			return true;
	return false;
}

size_t pf_module_bytes(const struct pf_module *m)
{
	size_t bytes = sizeof(*m) + m->symbol_capacity * sizeof(*m->symbols) + m->text.capacity;

	for (size_t i = 0; i < m->source_count; i++)
		bytes += m->sources[i].names ? m->sources[i].names_size : 0;
	return bytes;
}

size_t pf_module_count(const struct pf_module *m)
{
	return m->symbol_count;
}

/* ---- names ---- */

/* Open, and still the file that was loaded. */
static bool open_source(struct source *s)
{
	struct stat now;

	if (s->fd < 0)
		s->fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	return s->fd >= 0 && fstat(s->fd, &now) == 0 && same_file(&now, &s->id);
}

/* The bytes of a name and perhaps more behind it; how many, or 0. */
static size_t read_names(struct source *s, uint64_t at, char *out, size_t length)
{
	ssize_t got;

	if (at >= s->names_size)
		return 0;
	if (length > s->names_size - at)
		length = s->names_size - at;
	if (s->names) {
		memcpy(out, s->names + at, length);
		return length;
	}
	got = open_source(s) ? pread(s->fd, out, length, (off_t)(s->names_offset + at)) : 0;
	return got > 0 ? (size_t)got : 0;
}

/* The linker's name without its version ("memcpy@@GLIBC_2.14"), as text; "" when there is none. */
static void read_name(struct pf_module *m, const struct symbol *symbol, struct pf_buf *out)
{
	static const size_t steps[] = {256, NAME_BYTES_MAX};

	for (size_t i = 0; i < PF_COUNT(steps); i++) {
		char *room, *end;
		size_t got;

		pf_buf_clear(out);
		room = pf_buf_room(out, steps[i]);
		if (!room)
			break;
		got = read_names(&m->sources[symbol->source], symbol->name, room, steps[i]);
		end = memchr(room, '\0', got);
		if (!end && got == steps[i] && i + 1 < PF_COUNT(steps))
			continue;
		out->length = end ? (size_t)(end - room) : got;
		end = out->length > 1 ? memchr(room + 1, '@', out->length - 1) : NULL;
		if (end)
			out->length = (size_t)(end - room);
		break;
	}
	pf_buf_char(out, '\0');
	if (out->error)
		pf_buf_clear(out), pf_buf_char(out, '\0');
}

static size_t underscores(const char *name)
{
	return strspn(name, "_");
}

/* Several names of one address: global before local, then with fewer leading underscores, then
 * shorter, then by alphabet: `malloc`, not `__libc_malloc` or `__GI___libc_malloc`. */
static bool better(uint8_t rank, const char *name, uint8_t than_rank, const char *than)
{
	size_t length = strlen(name), than_length = strlen(than);

	if (!name[0] || !than[0])
		return name[0] != '\0';
	if (rank != than_rank)
		return rank < than_rank;
	if (underscores(name) != underscores(than))
		return underscores(name) < underscores(than);
	if (length != than_length)
		return length < than_length;
	return strcmp(name, than) < 0;
}

/* The best name of the symbols at one address, `first` being their first, into `best`. */
static void choose_name(struct pf_module *m, size_t first, struct pf_buf *best)
{
	PF_SCOPED(pf_buf) other = PF_BUF_INIT;
	uint8_t rank = m->symbols[first].rank;

	read_name(m, &m->symbols[first], best);
	for (size_t i = first + 1; i < m->symbol_count && i < first + ALIASES_MAX &&
				   m->symbols[i].address == m->symbols[first].address;
	     i++) {
		read_name(m, &m->symbols[i], &other);
		if (other.error || best->error ||
		    !better(m->symbols[i].rank, other.at, rank, best->at))
			continue;
		pf_buf_clear(best);
		pf_buf_add(best, other.at, other.length);
		rank = m->symbols[i].rank;
	}
}

/* Keeps the names of symbols[first] in m->text: false when they could not be read. A stub is called
 * what it leads to, with "@plt". */
static bool keep_text(struct pf_module *m, struct pf_demangler *demangler, size_t first)
{
	PF_SCOPED(pf_buf) name = PF_BUF_INIT;
	size_t at = m->text.length;
	const char *stub;

	choose_name(m, first, &name);
	if (name.error || !name.at[0] || at > UINT32_MAX)
		return false;
	stub = m->symbols[first].rank == RANK_STUB ? "@plt" : "";
	pf_buf_printf(&m->text, "%s%s", name.at, stub);
	pf_buf_char(&m->text, '\0');
	if (pf_demangle(demangler, name.at, &m->text))
		pf_buf_str(&m->text, stub);
	pf_buf_char(&m->text, '\0');
	if (m->text.error) {
		m->text.error = 0;
		m->text.length = at;
		return false;
	}
	m->symbols[first].text = (uint32_t)at;
	return true;
}

static bool to_address(const struct pf_module *m, uint64_t offset, uint64_t *address)
{
	for (size_t i = 0; i < m->segment_count; i++) {
		const struct pf_elf_segment *s = &m->segments[i];

		if (offset >= s->offset && offset - s->offset < s->size) {
			*address = offset - s->offset + s->address;
			return true;
		}
	}
	return false;
}

/* The first symbol of the nearest address at or below whose function reaches here, or -1. */
static ssize_t covering(const struct pf_module *m, uint64_t address)
{
	size_t low = 0, high = m->symbol_count;
	size_t at;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (m->symbols[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	for (at = low; at-- > 0 && low - at <= NESTED_MAX;) {
		if (address - m->symbols[at].address >= m->symbols[at].size)
			continue;
		while (at > 0 && m->symbols[at - 1].address == m->symbols[at].address)
			at--;
		return (ssize_t)at;
	}
	return -1;
}

bool pf_module_find(struct pf_module *m, struct pf_demangler *demangler, uint64_t offset,
    struct pf_module_name *out)
{
	uint64_t address;
	ssize_t at;

	if (!to_address(m, offset, &address))
		return false;
	at = covering(m, address);
	if (at < 0)
		return false;
	if (m->symbols[at].text == 0 && !keep_text(m, demangler, (size_t)at))
		return false;
	out->system = m->text.at + m->symbols[at].text;
	out->function = out->system + strlen(out->system) + 1;
	if (!*out->function)
		out->function = out->system;
	return true;
}
