#include "render/lines_name.h"
#include "base/buf.h"

#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

const char *pf_lines_string(Dwarf_Die *die, unsigned name)
{
	Dwarf_Attribute attribute;
	const char *text = dwarf_formstring(dwarf_attr_integrate(die, name, &attribute));

	return text ? text : "";
}

/* ---- the linker's names ---- */

/* What the linker calls it; "" when it does not. */
static const char *linkage_name(Dwarf_Die *die)
{
	const char *name = pf_lines_string(die, DW_AT_linkage_name);

	return *name ? name : pf_lines_string(die, DW_AT_MIPS_linkage_name);
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
		const char *function = pf_lines_string(&scopes[i], DW_AT_name);
		Dwarf_Die outer = scopes[i];

		to_declaration(&outer);
		add_scopes(out, &outer, function, nesting + 1);
		pf_buf_str(out, function);
		pf_buf_str(out, *function ? "::" : "");
	}
	while (--i > 0) {
		const char *scope = pf_lines_string(&scopes[i], DW_AT_name);
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
	return ((const struct pf_full_name *)items)[number].entry == key;
}

/* Made once for each function: finding its scopes takes a walk through the unit. */
static const char *full_name(struct pf_lines_names *n, Dwarf_Die die, const char *name)
{
	uint32_t before = n->index.count;
	uint32_t number;
	char *text;

	to_declaration(&die);
	number = pf_index_get(
	    &n->index, pf_hash_number((uintptr_t)die.addr), same_full_name, n->items, die.addr);
	if (number != PF_INDEX_FULL)
		return n->items[number].text;
	text = make_full_name(&die, name);
	if (!text || pf_vec_reserve((void **)&n->items, &n->capacity, sizeof(*n->items),
			 (size_t)before + 1) < 0) {
		free(text);
		return name;
	}
	n->items[before] = (struct pf_full_name){die.addr, text};
	if (pf_index_put(&n->index, pf_hash_number((uintptr_t)die.addr), same_full_name, n->items,
		die.addr) == PF_INDEX_FULL) {
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

void pf_lines_name(struct pf_lines_names *n, Dwarf_Die *die, struct pf_line *out)
{
	const char *linked = linkage_name(die);
	const char *name = *linked ? linked : pf_lines_string(die, DW_AT_name);

	out->system_name = name;
	out->function = *linked || !has_scopes(die) ? name : full_name(n, *die, name);
}

void pf_lines_names_finish(struct pf_lines_names *n)
{
	for (size_t i = 0; i < n->index.count; i++)
		free(n->items[i].text);
	pf_vec_free(n->items, n->capacity, sizeof(*n->items));
	pf_index_finish(&n->index);
	*n = (struct pf_lines_names){.capacity = 0};
}
