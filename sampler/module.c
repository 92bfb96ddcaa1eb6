#include "sampler/module.h"
#include "base/clock.h"
#include "base/mark.h"

#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
enum { RELOC_PLT = R_X86_64_JUMP_SLOT, RELOC_GOT = R_X86_64_GLOB_DAT, RELOC_DATA = R_X86_64_64 };
#elif defined(__aarch64__)
enum {
	RELOC_PLT = R_AARCH64_JUMP_SLOT,
	RELOC_GOT = R_AARCH64_GLOB_DAT,
	RELOC_DATA = R_AARCH64_ABS64
};
#else
#error "sampler/module.c: which relocations fill function slots on this processor?"
#endif

/* A module whose loading takes longer than this was never going to be write-protected. */
static const int64_t LOADING_NS = 1 * (int64_t)PF_NS_PER_SECOND;

/* ---- reading ---- */

/* The loader turns these into addresses where the dynamic section is writable; the vdso's is not. */
static uintptr_t address_of(const struct pf_module *m, const ElfW(Dyn) * entry)
{
	uintptr_t value = entry->d_un.d_ptr;

	return value < m->bias ? value + m->bias : value;
}

/* The linker puts those that name no symbol first, and says how many: most of them, in many a module. */
static void skip_relative(struct pf_module *m, size_t count)
{
	if (count > m->relocation_count[1])
		return;
	m->relocations[1] += count;
	m->relocation_count[1] -= count;
}

static void read_dynamic(struct pf_module *m, const ElfW(Dyn) * entry)
{
	size_t relative = 0;

	for (; entry->d_tag != DT_NULL; entry++) {
		uintptr_t address = address_of(m, entry);
		size_t count = entry->d_un.d_val / sizeof(ElfW(Rela));

		if (entry->d_tag == DT_SYMTAB)
			m->symbols = (const void *)address;
		else if (entry->d_tag == DT_STRTAB)
			m->strings = (const void *)address;
		else if (entry->d_tag == DT_JMPREL)
			m->relocations[0] = (const void *)address;
		else if (entry->d_tag == DT_PLTRELSZ)
			m->relocation_count[0] = count;
		else if (entry->d_tag == DT_RELA)
			m->relocations[1] = (const void *)address;
		else if (entry->d_tag == DT_RELASZ)
			m->relocation_count[1] = count;
		else if (entry->d_tag == DT_RELACOUNT)
			relative = entry->d_un.d_val;
		else if (entry->d_tag == DT_VERSYM)
			m->versions = (const void *)address;
		else if (entry->d_tag == DT_VERNEED)
			m->needs = (const void *)address;
		else if (entry->d_tag == DT_VERDEF)
			m->definitions = (const void *)address;
		else if (entry->d_tag == DT_GNU_HASH)
			m->hash_table = (const void *)address;
	}
	if (m->relocations[1])
		skip_relative(m, relative);
}

/* As the loader does it: both ends rounded down (glibc, _dl_protect_relro). */
static void read_protected(struct pf_module *m, const ElfW(Phdr) * segment)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t start = m->bias + segment->p_vaddr;

	m->protected_low = start & ~(page - 1);
	m->protected_high = (start + segment->p_memsz) & ~(page - 1);
}

bool pf_module_read(struct pf_module *m, const struct dl_phdr_info *info)
{
	const ElfW(Dyn) *dynamic = NULL;

	*m = (struct pf_module){.bias = info->dlpi_addr,
	    .low = UINTPTR_MAX,
	    .unloads = info->dlpi_subs,
	    .segments = info->dlpi_phdr,
	    .segment_count = info->dlpi_phnum};
	for (size_t i = 0; i < m->segment_count; i++) {
		const ElfW(Phdr) *segment = &m->segments[i];
		uintptr_t start = m->bias + segment->p_vaddr;

		if (segment->p_type == PT_DYNAMIC)
			dynamic = (const void *)start;
		if (segment->p_type == PT_GNU_RELRO)
			read_protected(m, segment);
		if (segment->p_type != PT_LOAD)
			continue;
		m->low = start < m->low ? start : m->low;
		if (start + segment->p_memsz > m->high)
			m->high = start + segment->p_memsz;
	}
	if (!dynamic)
		return false;
	read_dynamic(m, dynamic);
	for (int i = 0; i < 2; i++)
		if (!m->relocations[i])
			m->relocation_count[i] = 0;
	return m->symbols && m->strings;
}

static uint32_t gnu_hash(const char *name)
{
	uint32_t hash = 5381;

	for (; *name; name++)
		hash = hash * 33 + (unsigned char)*name;
	return hash;
}

/* A function that the module defines, or any name that it does not. The table: four numbers, a Bloom
 * filter, buckets, and for each symbol from `first` on its hash, whose lowest bit ends a bucket's run. */
static const ElfW(Sym) * find_symbol(const struct pf_module *m, const char *name, bool defined)
{
	const uint32_t *table = m->hash_table;
	uint32_t hash = gnu_hash(name), bucket_count, first, words, shift;
	const uint64_t *filter;
	const uint32_t *buckets, *chain;
	uint64_t bits;

	if (!table || table[0] == 0)
		return NULL;
	bucket_count = table[0];
	first = table[1];
	words = table[2];
	shift = table[3];
	filter = (const uint64_t *)(const void *)(table + 4);
	buckets = (const uint32_t *)(const void *)(filter + words);
	chain = buckets + bucket_count;
	bits = 1ull << hash % 64 | 1ull << (hash >> shift) % 64;
	if ((filter[hash / 64 % words] & bits) != bits)
		return NULL;
	for (uint32_t i = buckets[hash % bucket_count]; i >= first; i++) {
		const ElfW(Sym) *s = &m->symbols[i];

		if ((chain[i - first] | 1) == (hash | 1) && (s->st_shndx != SHN_UNDEF) == defined &&
		    (!defined || ELF64_ST_TYPE(s->st_info) == STT_FUNC) &&
		    strcmp(m->strings + s->st_name, name) == 0)
			return s;
		if (chain[i - first] & 1)
			break;
	}
	return NULL;
}

void *pf_module_function(const struct pf_module *m, const char *name, uint64_t *size)
{
	const ElfW(Sym) *symbol = find_symbol(m, name, true);

	if (!symbol)
		return NULL;
	*size = symbol->st_size;
	return (void *)(m->bias + symbol->st_value);
}

void *pf_module_stand_in(const struct pf_module *m, const char *name)
{
	const ElfW(Sym) *symbol = find_symbol(m, name, false);

	return symbol && symbol->st_value ? (void *)(m->bias + symbol->st_value) : NULL;
}

enum pf_slot_kind pf_module_slot_kind(const ElfW(Rela) * relocation)
{
	uint32_t type = (uint32_t)ELF64_R_TYPE(relocation->r_info);

	if (ELF64_R_SYM(relocation->r_info) == 0)
		return PF_SLOT_NONE;
	if (type == RELOC_PLT)
		return PF_SLOT_PLT;
	if (type == RELOC_GOT)
		return PF_SLOT_GOT;
	return type == RELOC_DATA && relocation->r_addend == 0 ? PF_SLOT_DATA : PF_SLOT_NONE;
}

/* ---- versions (ELF gABI, "Symbol Versioning"; LSB Core 10.7) ---- */

static const void *step(const void *at, uint32_t offset)
{
	return offset ? (const char *)at + offset : NULL;
}

static const char *needed_version(const struct pf_module *m, uint32_t number)
{
	for (const ElfW(Verneed) *n = m->needs; n; n = step(n, n->vn_next)) {
		const ElfW(Vernaux) *a = step(n, n->vn_aux);

		for (; a; a = step(a, a->vna_next))
			if (a->vna_other == number)
				return m->strings + a->vna_name;
	}
	return NULL;
}

static const char *defined_version(const struct pf_module *m, uint32_t number)
{
	for (const ElfW(Verdef) *d = m->definitions; d; d = step(d, d->vd_next)) {
		const ElfW(Verdaux) *a = step(d, d->vd_aux);

		if (a && d->vd_ndx == number)
			return m->strings + a->vda_name;
	}
	return NULL;
}

bool pf_module_has_version(const struct pf_module *m, size_t symbol, const char *version)
{
	uint32_t number;
	const char *name;

	if (!m->versions)
		return true;
	number = m->versions[symbol] & 0x7fff; /* the top bit: hidden */
	if (number <= VER_NDX_GLOBAL)
		return true;
	name = needed_version(m, number);
	if (!name)
		name = defined_version(m, number);
	return name && strcmp(name, version) == 0;
}

/* ---- writing ---- */

bool pf_module_may_write(const struct pf_module *m, const void *address)
{
	for (size_t i = 0; i < m->segment_count; i++) {
		const ElfW(Phdr) *segment = &m->segments[i];
		uintptr_t start = m->bias + segment->p_vaddr;

		if (segment->p_type == PT_LOAD && (segment->p_flags & PF_W) &&
		    (uintptr_t)address >= start &&
		    (uintptr_t)address + sizeof(void *) <= start + segment->p_memsz)
			return true;
	}
	return false;
}

/* Asks the kernel, without a store that could fault: a futex operation that ORs 0 into the word.
 * 1 or 0; -errno where it cannot be asked. */
static int is_writable(void **slot)
{
	static uint32_t nobody_waits_here;
	long rc = syscall(SYS_futex, &nobody_waits_here, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 0,
	    NULL, slot, FUTEX_OP(FUTEX_OP_OR, 0, FUTEX_OP_CMP_EQ, 0));

	if (rc >= 0)
		return 1;
	return errno == EFAULT ? 0 : -errno;
}

/* Has this module been seen unfinished for so long that it must be finished? */
static bool loads_for_long(const struct pf_module *m)
{
	static struct {
		uintptr_t low;
		uint64_t unloads;
		int64_t since_ns;
	} seen[16];
	static unsigned next;
	int64_t now = pf_clock_now_ns();

	for (unsigned i = 0; i < PF_COUNT(seen); i++)
		if (seen[i].low == m->low && seen[i].unloads == m->unloads)
			return now - seen[i].since_ns > LOADING_NS;
	next = (next + 1) % PF_COUNT(seen);
	seen[next].low = m->low;
	seen[next].unloads = m->unloads;
	seen[next].since_ns = now;
	return false;
}

/* The loader lists a module before it has relocated and protected it. Were we to protect it, the
 * loader would fault; were the loader to protect it now, we would. Already read-only means that
 * the loader has done with it. */
static int unlock(struct pf_module *m, void **slot)
{
	int writable = is_writable(slot);

	if (writable < 0)
		return writable;
	if (writable)
		return loads_for_long(m) ? 0 : -EAGAIN;
	if (mprotect((void *)m->protected_low, m->protected_high - m->protected_low,
		PROT_READ | PROT_WRITE) != 0)
		return -errno;
	m->unlocked = true;
	return 0;
}

int pf_module_write(struct pf_module *m, void **slot, void *value)
{
	uintptr_t at = (uintptr_t)slot;

	if (at >= m->protected_low && at < m->protected_high && !m->unlocked) {
		int rc = unlock(m, slot);

		if (rc < 0)
			return rc;
	}
	__atomic_store_n(slot, value, __ATOMIC_RELEASE);
	return 0;
}

void pf_module_lock(struct pf_module *m)
{
	if (m->unlocked)
		mprotect((void *)m->protected_low, m->protected_high - m->protected_low, PROT_READ);
	m->unlocked = false;
}
