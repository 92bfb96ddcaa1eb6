#include "render/lines_dwarf.h"
#include "base/buf.h"
#include "render/elf.h"
#include "render/index.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
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

/* Of a function that the linker has no name for: "ns::f". Found by its entry. */
struct full_name {
	const void *entry;
	char *text;
};

struct pf_dwarf {
	int fd;
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
	struct pf_index full_index; /* its count is that of `full` */
	struct full_name *full;
	size_t full_capacity;
	int64_t visits_left;
	int error;
};

/* ---- opening ---- */

static bool has_debug_info(const struct pf_elf *elf)
{
	return pf_elf_has_section(elf, ".debug_info") || pf_elf_has_section(elf, ".zdebug_info");
}

/* The file to read, into debug_path (PATH_MAX bytes). */
static int choose_file(struct pf_dwarf *d, const char *path, const char *build_id,
    const char *debug_root, char *debug_path)
{
	struct pf_elf *elf = NULL, *debug = NULL;
	const char *id;
	int rc = strlen(path) < PATH_MAX ? pf_elf_open(&elf, path) : -ENAMETOOLONG;

	if (rc < 0)
		return rc;
	id = pf_elf_build_id(elf);
	if (id[0] && build_id[0] && strcmp(id, build_id) != 0) {
		pf_elf_close(elf);
		return -ESTALE;
	}
	d->segment_count = pf_elf_segments(elf, d->segments, SEGMENTS_MAX);
	if (has_debug_info(elf))
		strcpy(debug_path, path);
	else
		rc = pf_elf_open_debug(&debug, debug_path, elf, path, debug_root);
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
		qsort(d->ranges, d->range_count, sizeof(*d->ranges), by_low);
	return d->unit_count ? 0 : -ENOENT;
}

int pf_dwarf_open(
    struct pf_dwarf **out, const char *path, const char *build_id, const char *debug_root)
{
	struct pf_dwarf *d = calloc(1, sizeof(*d));
	char debug_path[PATH_MAX];
	int rc;

	*out = NULL;
	if (!d)
		return -ENOMEM;
	d->fd = -1;
	rc = choose_file(d, path, build_id, debug_root, debug_path);
	if (rc == 0) {
		d->fd = open(debug_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		rc = d->fd < 0 ? -errno : 0;
	}
	if (rc == 0) {
		d->elf = elf_begin(d->fd, ELF_C_READ_MMAP, NULL);
		d->dwarf = d->elf ? dwarf_begin_elf(d->elf, DWARF_C_READ, NULL) : NULL;
		rc = d->dwarf ? read_units(d) : -ENOENT;
	}
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
	if (d->fd >= 0)
		close(d->fd);
	pf_vec_free(d->units, d->unit_capacity, sizeof(*d->units));
	pf_vec_free(d->ranges, d->range_capacity, sizeof(*d->ranges));
	pf_vec_free(d->asks, d->ask_capacity, sizeof(*d->asks));
	pf_vec_free(d->nodes, d->node_capacity, sizeof(*d->nodes));
	for (size_t i = 0; i < d->full_index.count; i++)
		free(d->full[i].text);
	pf_vec_free(d->full, d->full_capacity, sizeof(*d->full));
	pf_index_finish(&d->full_index);
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

static const char *string_of(Dwarf_Die *die, unsigned name)
{
	Dwarf_Attribute attribute;
	const char *text = dwarf_formstring(dwarf_attr_integrate(die, name, &attribute));

	return text ? text : "";
}

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

/* What the linker calls it; "" when it does not. */
static const char *linkage_name(Dwarf_Die *die)
{
	const char *name = string_of(die, DW_AT_linkage_name);

	return *name ? name : string_of(die, DW_AT_MIPS_linkage_name);
}

/* ---- names that only the source has: static functions of C++ ---- */

/* The entry that says where a function belongs: its first declaration. */
static void to_declaration(Dwarf_Die *die)
{
	static const unsigned ways[] = {DW_AT_abstract_origin, DW_AT_specification};
	Dwarf_Attribute attribute;
	Dwarf_Die next;

	for (size_t i = 0; i < PF_COUNT(ways); i++)
		if (dwarf_formref_die(dwarf_attr(die, ways[i], &attribute), &next))
			*die = next;
}

/* As the demangler calls them. */
static const char *unnamed_scope(int tag, const char *function)
{
	if (tag == DW_TAG_namespace)
		return "(anonymous namespace)";
	return strcmp(function, "operator()") == 0 ? "{lambda}" : "{unnamed}";
}

enum { NESTING_MAX = 8 }; /* functions in functions: what is broken may lead round and round */

/* "ns::Class::", or "ns::function::{lambda}::": what the entry stands in. */
static void add_scopes(struct pf_buf *out, Dwarf_Die *declaration, const char *name, int nesting)
{
	Dwarf_Die *scopes = NULL;
	int count = dwarf_getscopes_die(declaration, &scopes);
	int i = 1;

	/* A function inside stands in its unit, whatever namespace it was declared in. */
	while (i < count && dwarf_tag(&scopes[i]) != DW_TAG_subprogram)
		i++;
	if (i < count && nesting < NESTING_MAX) {
		const char *function = string_of(&scopes[i], DW_AT_name);
		Dwarf_Die outer = scopes[i];

		to_declaration(&outer);
		add_scopes(out, &outer, function, nesting + 1);
		pf_buf_str(out, function);
		pf_buf_str(out, *function ? "::" : "");
	}
	while (--i > 0) {
		const char *scope = string_of(&scopes[i], DW_AT_name);
		int tag = dwarf_tag(&scopes[i]);

		if (tag != DW_TAG_namespace && tag != DW_TAG_class_type &&
		    tag != DW_TAG_structure_type && tag != DW_TAG_union_type)
			continue;
		pf_buf_str(out, *scope ? scope : unnamed_scope(tag, name));
		pf_buf_str(out, "::");
	}
	free(scopes);
}

static char *make_full_name(Dwarf_Die *declaration, const char *name)
{
	PF_SCOPED(pf_buf) text = PF_BUF_INIT;

	add_scopes(&text, declaration, name, 0);
	pf_buf_str(&text, name);
	return text.error ? NULL : strdup(pf_buf_text(&text));
}

static bool same_full_name(const void *items, uint32_t number, const void *key)
{
	return ((const struct full_name *)items)[number].entry == key;
}

/* Made once for each function: finding its scopes takes a walk through the unit. */
static const char *full_name(struct pf_dwarf *d, Dwarf_Die die, const char *name)
{
	uint32_t before = d->full_index.count;
	uint32_t number;
	char *text;

	to_declaration(&die);
	number = pf_index_get(
	    &d->full_index, pf_hash_number((uintptr_t)die.addr), same_full_name, d->full, die.addr);
	if (number != PF_INDEX_FULL)
		return d->full[number].text;
	text = make_full_name(&die, name);
	if (!text || pf_vec_reserve((void **)&d->full, &d->full_capacity, sizeof(*d->full),
			 (size_t)before + 1) < 0) {
		free(text);
		return name;
	}
	d->full[before] = (struct full_name){die.addr, text};
	if (pf_index_put(&d->full_index, pf_hash_number((uintptr_t)die.addr), same_full_name,
		d->full, die.addr) == PF_INDEX_FULL) {
		free(text);
		return name;
	}
	return text;
}

static bool has_scopes(Dwarf_Die *die)
{
	Dwarf_Die unit;

	switch (dwarf_srclang(dwarf_diecu(die, &unit, NULL, NULL))) {
	case DW_LANG_C_plus_plus:
	case DW_LANG_C_plus_plus_03:
	case DW_LANG_C_plus_plus_11:
	case DW_LANG_C_plus_plus_14:
	case DW_LANG_Rust:
		return true;
	default:
		return false;
	}
}

static void say_name(struct pf_dwarf *d, Dwarf_Die *die, struct pf_line *out)
{
	const char *linked = linkage_name(die);
	const char *name = *linked ? linked : string_of(die, DW_AT_name);

	out->system_name = name;
	out->function = *linked || !has_scopes(die) ? name : full_name(d, *die, name);
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

	say_name(d, die, out);
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
		found(to, ask->index, lines, count, string_of(&lines_die, DW_AT_comp_dir));
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
		qsort(d->asks, d->ask_count, sizeof(*d->asks), by_unit_and_address);
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
