/* Module: the functions of one mapped file, by address.
 *
 *   symbols, sorted by address:   address, size, where its name is, the name once asked for
 *   names:                        read from the file when asked for, demangled, kept in one block
 *
 * So a module costs 24 bytes a function and the names of those that were seen. A source is where
 * names are read from: the file, its separate debug file, or memory (vdso, .gnu_debugdata).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pf_demangler;
struct pf_mapping;
struct pf_module;

/* The functions of the mapped file: from its .symtab; else from its separate debug file (under
 * debug_root or beside it); else .dynsym and .gnu_debugdata. A file whose build id is another one
 * than the mapping's is not used. 0 also when nothing was found (then nothing has a name);
 * -ENOMEM. */
int pf_module_load(
    struct pf_module **out, const struct pf_mapping *mapping, const char *debug_root);
void pf_module_destroy(struct pf_module *module); /* takes NULL */

/* Is this module what the mapping shows? */
bool pf_module_is(const struct pf_module *module, const struct pf_mapping *mapping);

struct pf_module_name {
	const char *function; /* for people */
	const char *system;   /* as linked */
};

/* The function that has the byte at `offset` of the file: false when none is known to. The
 * strings live until the next call. */
bool pf_module_find(struct pf_module *module, struct pf_demangler *demangler, uint64_t offset,
    struct pf_module_name *out);

/* Closes the files that finding names has opened. */
void pf_module_rest(struct pf_module *module);

/* Its files have changed on disk since: load anew. */
bool pf_module_is_stale(const struct pf_module *module);

size_t pf_module_bytes(const struct pf_module *module);
size_t pf_module_count(const struct pf_module *module); /* functions */
