#include "render/lines_dwarf.h"
#include "base/buf.h"
#include "base/sort.h"
#include "render/elf.h"
#include "render/lines_name.h"
#include "render/zstd.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	SEGMENTS_MAX = 16,
	DEPTH_MAX = 200,        /* of entries inside each other */
	FRAMES_MAX = 64,        /* inlined into each other, of one address */
	RANGES_MAX = 1 << 16,   /* of one entry */
	VISITS_MAX = 200 << 20, /* entries looked at, for one call: hostile files end here */
	NO_NODE = -1,
};

struct range { /* of a compilation unit */
	uint64_t low, high;
	uint32_t unit;
};

struct unit {
	Dwarf_Die lines; /* has the line table */
	Dwarf_Die tree;  /* has the functions: the same, or the unit in the .dwo file */
};

/* A function, or one inlined into `outer`. */
struct node {
	Dwarf_Die die;
	int32_t outer; /* node, or NO_NODE */
};

struct ask {
	uint64_t address;
	uint32_t index;
	uint32_t unit;
	int32_t node; /* innermost */
};

struct pf_dwarf {
	int fd;
	void *image; /* NULL, or the file with its sections unpacked */
	size_t image_length;
	Elf *elf;
	Dwarf *dwarf;
	struct pf_elf_segment segments[SEGMENTS_MAX];
	size_t segment_count;
	struct unit *units;
	size_t unit_count, unit_capacity;
	struct range *ranges; /* sorted by low */
	size_t range_count, range_capacity;

	/* of one pf_dwarf_find(): */
	struct ask *asks;
	size_t ask_count, ask_capacity;
	struct node *nodes;
	size_t node_count, node_capacity;
	struct pf_lines_names names;
	int64_t visits_left;
	int error;
};

/* ---- opening ---- */

static bool has_debug_info(const struct pf_elf *elf)
{
	return pf_elf_has_section(elf, ".debug_info") || pf_elf_has_section(elf, ".zdebug_info");
}

/* The file to read, into debug_path (PATH_MAX bytes). */
static int choose_file(struct pf_dwarf *d, const char *path, const char *seen_at,
    const char *build_id, const char *debug_root, char *debug_path)
{
	bool elsewhere = strcmp(path, seen_at) != 0;
	struct pf_elf *elf = NULL, *debug = NULL;
	const char *id;
	int rc = strlen(seen_at) < PATH_MAX ? pf_elf_open(&elf, seen_at) : -ENAMETOOLONG;

	if (rc < 0)
		return rc;
	id = pf_elf_build_id(elf);
	if ((elsewhere || (id[0] && build_id[0])) && strcmp(id, build_id) != 0) {
		pf_elf_close(elf);
		return -ESTALE;
	}
	d->segment_count = pf_elf_segments(elf, d->segments, SEGMENTS_MAX);
	if (has_debug_info(elf))
		strcpy(debug_path, seen_at);
	else if (pf_elf_open_debug(&debug, debug_path, elf, path, debug_root) < 0)
		rc = -ENODATA;
	pf_elf_close(debug);
	pf_elf_close(elf);
	return rc;
}

static int add_range(struct pf_dwarf *d, uint64_t low, uint64_t high)
{
	if (low >= high || d->range_count == UINT32_MAX)
		return 0;
	if (pf_vec_reserve((void **)&d->ranges, &d->range_capacity, sizeof(*d->ranges),
		d->range_count + 1) < 0)
		return -ENOMEM;
	d->ranges[d->range_count++] = (struct range){low, high, (uint32_t)d->unit_count - 1};
	return 0;
}

static int add_unit(struct pf_dwarf *d, const Dwarf_Die *die, const Dwarf_Die *split)
{
	Dwarf_Addr base, low, high;
	ptrdiff_t at = 0;

	if (d->unit_count == INT32_MAX || pf_vec_reserve((void **)&d->units, &d->unit_capacity,
					      sizeof(*d->units), d->unit_count + 1) < 0)
		return -ENOMEM;
	d->units[d->unit_count++] = (struct unit){*die, split->cu ? *split : *die};
	for (int i = 0; i < RANGES_MAX; i++) {
		at = dwarf_ranges((Dwarf_Die *)die, at, &base, &low, &high);
		if (at <= 0)
			break;
		if (add_range(d, low, high) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int by_low(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	if (x->low != y->low)
		return x->low < y->low ? -1 : 1;
	return x->unit < y->unit ? -1 : x->unit > y->unit;
}

static int read_units(struct pf_dwarf *d)
{
	Dwarf_CU *unit = NULL;
	Dwarf_Die die, split;
	uint8_t type;
	int rc = 0;

	while (rc == 0 && dwarf_get_units(d->dwarf, unit, &unit, NULL, &type, &die, &split) == 0) {
		if (type == DW_UT_compile || type == DW_UT_skeleton)
			rc = add_unit(d, &die, &split);
		if (rc < 0)
			return rc;
	}
	if (d->range_count)
		pf_sort(d->ranges, d->range_count, sizeof(*d->ranges), by_low);
	return d->unit_count ? 0 : -ENODATA;
}

static int open_file(struct pf_dwarf *d, const char *path)
{
	d->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (d->fd < 0)
		return -errno;
	if (pf_zstd_image(d->fd, &d->image, &d->image_length) == 0)
		d->elf = elf_memory(d->image, d->image_length);
	else
		d->elf = elf_begin(d->fd, ELF_C_READ_MMAP, NULL);
	d->dwarf = d->elf ? dwarf_begin_elf(d->elf, DWARF_C_READ, NULL) : NULL;
	return d->dwarf ? read_units(d) : -ENODATA;
}

int pf_dwarf_open(struct pf_dwarf **out, const char *path, const char *seen_at,
    const char *build_id, const char *debug_root)
{
	struct pf_dwarf *d = calloc(1, sizeof(*d));
	char debug_path[PATH_MAX];
	int rc;

	*out = NULL;
	if (!d)
		return -ENOMEM;
	d->fd = -1;
	rc = choose_file(d, path, seen_at, build_id, debug_root, debug_path);
	if (rc == 0)
		rc = open_file(d, debug_path);
	if (rc < 0)
		pf_dwarf_close(d);
	else
		*out = d;
	return rc;
}

void pf_dwarf_close(struct pf_dwarf *d)
{
	if (!d)
		return;
	dwarf_end(d->dwarf);
	elf_end(d->elf);
	if (d->image)
		munmap(d->image, d->image_length);
	if (d->fd >= 0)
		close(d->fd);
	pf_vec_free(d->units, d->unit_capacity, sizeof(*d->units));
	pf_vec_free(d->ranges, d->range_capacity, sizeof(*d->ranges));
	pf_vec_free(d->asks, d->ask_capacity, sizeof(*d->asks));
	pf_vec_free(d->nodes, d->node_capacity, sizeof(*d->nodes));
	pf_lines_names_finish(&d->names);
	free(d);
}

/* ---- down the tree ---- */

/* The asks of one unit, sorted by address. */
struct walk {
	struct pf_dwarf *d;
	struct ask *asks;
	size_t count;
	bool types_have_code; /* Rust: functions stand inside types */
};

static size_t first_at_or_above(const struct walk *w, uint64_t address)
{
	size_t low = 0, high = w->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (w->asks[middle].address < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

enum { MISSES, HITS, HAS_NO_CODE };

/* Does an asked address lie in this entry? With `node`, those that do are in that function now. */
static int hit(const struct walk *w, Dwarf_Die *die, int32_t node)
{
	Dwarf_Addr base, low, high;
	ptrdiff_t at = 0;
	int result = HAS_NO_CODE;

	for (int i = 0; i < RANGES_MAX; i++) {
		at = dwarf_ranges(die, at, &base, &low, &high);
		if (at <= 0)
			break;
		result = result == HITS ? HITS : MISSES;
		for (size_t k = first_at_or_above(w, low);
		     k < w->count && w->asks[k].address < high; k++) {
			result = HITS;
			if (node == NO_NODE)
				break;
			w->asks[k].node = node;
		}
	}
	return result;
}

static bool add_node(struct pf_dwarf *d, const Dwarf_Die *die, int32_t outer)
{
	if (d->node_count >= INT32_MAX || pf_vec_reserve((void **)&d->nodes, &d->node_capacity,
					      sizeof(*d->nodes), d->node_count + 1) < 0) {
		d->error = -ENOMEM;
		return false;
	}
	d->nodes[d->node_count++] = (struct node){*die, outer};
	return true;
}

static void walk_children(const struct walk *w, Dwarf_Die *parent, int32_t outer, int depth);

static void walk_function(const struct walk *w, Dwarf_Die *die, int32_t outer, int depth)
{
	if (hit(w, die, NO_NODE) != HITS || !add_node(w->d, die, outer))
		return;
	outer = (int32_t)w->d->node_count - 1;
	hit(w, die, outer);
	walk_children(w, die, outer, depth);
}

static void walk_entry(const struct walk *w, Dwarf_Die *die, int32_t outer, int depth)
{
	switch (dwarf_tag(die)) {
	case DW_TAG_subprogram:
	case DW_TAG_inlined_subroutine:
		walk_function(w, die, outer, depth);
		break;
	case DW_TAG_lexical_block:
	case DW_TAG_try_block:
	case DW_TAG_catch_block:
		if (hit(w, die, NO_NODE) != MISSES)
			walk_children(w, die, outer, depth);
		break;
	case DW_TAG_namespace:
	case DW_TAG_module:
		walk_children(w, die, outer, depth);
		break;
	case DW_TAG_structure_type:
	case DW_TAG_class_type:
	case DW_TAG_union_type:
	case DW_TAG_enumeration_type:
		if (w->types_have_code)
			walk_children(w, die, outer, depth);
		break;
	default:
		break;
	}
}

static void walk_children(const struct walk *w, Dwarf_Die *parent, int32_t outer, int depth)
{
	Dwarf_Die die;

	if (depth == DEPTH_MAX || dwarf_child(parent, &die) != 0)
		return;
	do {
		if (w->d->error || w->d->visits_left-- <= 0)
			return;
		walk_entry(w, &die, outer, depth + 1);
	} while (dwarf_siblingof(&die, &die) == 0);
}

/* ---- what is said about an address ---- */

static int64_t number_of(Dwarf_Die *die, unsigned name)
{
	Dwarf_Attribute attribute;
	Dwarf_Word value;

	return dwarf_formudata(dwarf_attr_integrate(die, name, &attribute), &value) == 0 &&
		       value <= INT32_MAX
		   ? (int64_t)value
		   : 0;
}

/* The file that an attribute numbers, in the files of the unit that the attribute stands in. (Not
 * dwarf_decl_file(): of elfutils 0.188 it ends the process for a unit without a line table.) */
static const char *file_of(Dwarf_Die *die, unsigned name)
{
	Dwarf_Attribute attribute;
	Dwarf_Die unit;
	Dwarf_Files *files;
	Dwarf_Word number;
	const char *file = NULL;
	size_t count;

	if (dwarf_formudata(dwarf_attr_integrate(die, name, &attribute), &number) == 0 &&
	    dwarf_cu_info(attribute.cu, NULL, NULL, &unit, NULL, NULL, NULL, NULL) == 0 &&
	    dwarf_getsrcfiles(&unit, &files, &count) == 0 && number < count)
		file = dwarf_filesrc(files, number, NULL, NULL);
	return file ? file : "";
}

/* ---- places ---- */

/* Where an inlined function was called, in the function around it. */
static void place_of_call(Dwarf_Die *die, struct pf_line *out)
{
	out->file = file_of(die, DW_AT_call_file);
	out->line = number_of(die, DW_AT_call_line);
}

static void place_of_address(const struct unit *unit, uint64_t address, struct pf_line *out)
{
	Dwarf_Die die = unit->lines;
	Dwarf_Line *line = dwarf_getsrc_die(&die, address);
	const char *file = line ? dwarf_linesrc(line, NULL, NULL) : NULL;
	int number = 0;

	out->file = file ? file : "";
	out->line = file && dwarf_lineno(line, &number) == 0 ? number : 0;
}

/* Equal, or one is relative and the other one ends with it. */
static bool same_file(const char *a, const char *b)
{
	size_t a_length, b_length;

	a += strncmp(a, "./", 2) == 0 ? 2 : 0;
	b += strncmp(b, "./", 2) == 0 ? 2 : 0;
	a_length = strlen(a);
	b_length = strlen(b);
	if (a_length < b_length)
		return same_file(b, a);
	if (a_length > b_length && (b[0] == '/' || a[a_length - b_length - 1] != '/'))
		return false;
	return strcmp(a + a_length - b_length, b) == 0;
}

static void say_function(struct pf_dwarf *d, struct pf_line *out, Dwarf_Die *die)
{
	const char *file = file_of(die, DW_AT_decl_file);

	pf_lines_name(&d->names, die, out);
	if (*file && same_file(file, out->file))
		out->start_line = number_of(die, DW_AT_decl_line);
}

static void tell(struct pf_dwarf *d, const struct ask *ask, pf_dwarf_found_fn *found, void *to)
{
	const struct unit *unit = &d->units[ask->unit];
	Dwarf_Die lines_die = unit->lines;
	struct pf_line lines[FRAMES_MAX] = {{.function = "", .system_name = ""}};
	size_t count = 1;

	place_of_address(unit, ask->address, &lines[0]);
	for (int32_t at = ask->node; at != NO_NODE; at = d->nodes[at].outer) {
		Dwarf_Die *die = &d->nodes[at].die;

		say_function(d, &lines[count - 1], die);
		if (dwarf_tag(die) == DW_TAG_subprogram || count == FRAMES_MAX)
			break;
		lines[count] = (struct pf_line){.function = "", .system_name = ""};
		place_of_call(die, &lines[count++]);
	}
	if (lines[0].file[0] || ask->node != NO_NODE)
		found(to, ask->index, lines, count, pf_lines_string(&lines_die, DW_AT_comp_dir));
}

/* ---- asking ---- */

static bool to_address(const struct pf_dwarf *d, uint64_t offset, uint64_t *address)
{
	for (size_t i = 0; i < d->segment_count; i++) {
		const struct pf_elf_segment *s = &d->segments[i];

		if (offset >= s->offset && offset - s->offset < s->size) {
			*address = offset - s->offset + s->address;
			return true;
		}
	}
	return false;
}

/* The range that begins last at or below the address and reaches it. Ranges of functions that the
 * linker dropped may lie on top of each other, so a few are looked at. */
static bool find_unit(const struct pf_dwarf *d, uint64_t address, uint32_t *unit)
{
	enum { LOOK_BACK = 16 };
	size_t low = 0, high = d->range_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (d->ranges[middle].low <= address)
			low = middle + 1;
		else
			high = middle;
	}
	for (size_t at = low; at-- > 0 && low - at <= LOOK_BACK;) {
		if (address >= d->ranges[at].high)
			continue;
		*unit = d->ranges[at].unit;
		return true;
	}
	return false;
}

static int by_unit_and_address(const void *a, const void *b)
{
	const struct ask *x = a, *y = b;

	if (x->unit != y->unit)
		return x->unit < y->unit ? -1 : 1;
	if (x->address != y->address)
		return x->address < y->address ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

static int take_asks(struct pf_dwarf *d, const uint64_t *offsets, size_t count)
{
	d->ask_count = 0;
	if (count > UINT32_MAX ||
	    pf_vec_reserve((void **)&d->asks, &d->ask_capacity, sizeof(*d->asks), count) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct ask ask = {.index = (uint32_t)i, .node = NO_NODE};

		if (to_address(d, offsets[i], &ask.address) && find_unit(d, ask.address, &ask.unit))
			d->asks[d->ask_count++] = ask;
	}
	if (d->ask_count)
		pf_sort(d->asks, d->ask_count, sizeof(*d->asks), by_unit_and_address);
	return 0;
}

static void find_in_unit(
    struct pf_dwarf *d, struct ask *asks, size_t count, pf_dwarf_found_fn *found, void *to)
{
	Dwarf_Die *tree = &d->units[asks[0].unit].tree;
	struct walk walk = {
	    .d = d,
	    .asks = asks,
	    .count = count,
	    .types_have_code = dwarf_srclang(tree) == DW_LANG_Rust,
	};

	d->node_count = 0;
	walk_children(&walk, tree, NO_NODE, 0);
	for (size_t i = 0; i < count && d->error == 0; i++)
		tell(d, &asks[i], found, to);
}

int pf_dwarf_find(
    struct pf_dwarf *d, const uint64_t *offsets, size_t count, pf_dwarf_found_fn *found, void *to)
{
	size_t end;
	int rc = take_asks(d, offsets, count);

	d->visits_left = VISITS_MAX;
	d->error = rc;
	for (size_t first = 0; first < d->ask_count && d->error == 0; first = end) {
		for (end = first + 1;
		     end < d->ask_count && d->asks[end].unit == d->asks[first].unit;)
			end++;
		find_in_unit(d, d->asks + first, end - first, found, to);
	}
	return d->error;
}
