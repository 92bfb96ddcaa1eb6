/* Names of functions, as debug information has them: the linker's where there is one, else made of
 * the scopes that the function stands in: "ns::Class::f", "ns::f::{lambda}::operator()".
 *
 * For lines_dwarf.c alone, in whose process it runs.
 */
#pragma once
#include "base/profile.h"
#include "render/index.h"

#include <elfutils/libdw.h>

/* Names that were made, by the entry they are of: its scopes take a walk through the unit. */
struct pf_lines_names {
	struct pf_index index; /* its count is that of `items` */
	struct pf_full_name {
		const void *entry;
		char *text;
	} * items;
	size_t capacity;
};

/* Fills function and system_name of `out`, which live as long as `names` and the file. "" where
 * there is none. */
void pf_lines_name(struct pf_lines_names *names, Dwarf_Die *die, struct pf_line *out);
void pf_lines_names_finish(struct pf_lines_names *names);

/* A text attribute of an entry or of what it is an instance of; "" when it has none. */
const char *pf_lines_string(Dwarf_Die *die, unsigned name);
