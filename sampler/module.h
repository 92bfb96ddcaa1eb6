/* Module: one loaded object as the dynamic loader left it in memory, for patch.c: its function
 * slots, the names and versions of their symbols, and the part that the loader write-protects.
 *
 * Everything here is read inside dl_iterate_phdr, which keeps the object mapped meanwhile.
 */
#pragma once
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pf_module {
	uintptr_t bias;
	uintptr_t low, high; /* all its segments */
	uint64_t unloads;    /* of the process so far: tells it from another at the same place */
	const ElfW(Phdr) * segments;
	size_t segment_count;
	const ElfW(Sym) * symbols;
	const char *strings;
	const ElfW(Rela) * relocations[2]; /* of the PLT; all others */
	size_t relocation_count[2];
	const ElfW(Half) * versions; /* one per symbol, or NULL */
	const ElfW(Verneed) * needs;
	const ElfW(Verdef) * definitions;
	const uint32_t *hash_table; /* DT_GNU_HASH, or NULL */
	uintptr_t protected_low,
	    protected_high; /* read-only after relocation (RELRO), whole pages */
	bool unlocked;      /* by pf_module_write, until pf_module_lock */
};

enum pf_slot_kind { PF_SLOT_NONE, PF_SLOT_PLT, PF_SLOT_GOT, PF_SLOT_DATA };

/* False: there is nothing to patch (no dynamic section, no symbols). */
bool pf_module_read(struct pf_module *m, const struct dl_phdr_info *info);

static inline bool pf_module_has(const struct pf_module *m, const void *address)
{
	return (uintptr_t)address >= m->low && (uintptr_t)address < m->high;
}

/* A function that the module defines and others may call, of any version, and its size; NULL: it
 * has none of that name. */
void *pf_module_function(const struct pf_module *m, const char *name, uint64_t *size);

/* What an executable at a fixed address has the whole process take for the address of another module's
 * function: its own PLT entry; NULL: nothing. Where there is a hash_table. */
void *pf_module_stand_in(const struct pf_module *m, const char *name);

/* What kind of function slot a relocation fills. */
enum pf_slot_kind pf_module_slot_kind(const ElfW(Rela) * relocation);

/* Is the module's symbol of this version? Symbols without versions are of every version. */
bool pf_module_has_version(const struct pf_module *m, size_t symbol, const char *version);

/* May this address be written: in a writable segment of the module? */
bool pf_module_may_write(const struct pf_module *m, const void *address);

/* Stores into a slot. 0; -EAGAIN: the loader is still at work on the module; -errno of mprotect. */
int pf_module_write(struct pf_module *m, void **slot, void *value);
/* Write-protects again what pf_module_write opened. */
void pf_module_lock(struct pf_module *m);
