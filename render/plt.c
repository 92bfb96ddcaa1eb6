/* A stub jumps through a slot, and a relocation says whose address is in the slot:
 *
 *     .plt  1030:  jmp *0x2fe2(%rip)  # 4018        .rela.plt  4018  R_X86_64_JUMP_SLOT  memcmp
 *
 * So the code is read and not counted: linkers lay stubs out in four ways (.plt, .plt.sec with
 * endbr64 before the jump, .plt.got without a lazy half, bnd before the jump).
 */
#include "render/plt.h"
#include "base/buf.h"
#include "base/sort.h"

#include <errno.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

enum { CODE_MAX = 4 << 20, SLOTS_MAX = 1 << 18, PIECE = 4096, STEP = 8, STUB = 16 };

struct slot {
	uint64_t address;
	uint32_t symbol;
};

struct plt {
	const struct pf_elf *elf;
	const struct pf_elf_table *exported;
	struct slot *slots; /* sorted */
	size_t count, capacity;
	int (*add)(void *to, const struct pf_plt_stub *stub);
	void *to;
};

#ifdef __x86_64__
static bool is_slot(uint64_t kind)
{
	return kind == R_X86_64_JUMP_SLOT || kind == R_X86_64_GLOB_DAT;
}

/* Where the code at `address` takes the address from to which it jumps. */
static bool jumps_through(const unsigned char *code, size_t room, uint64_t address, uint64_t *slot)
{
	size_t at = room >= 4 && memcmp(code, "\xf3\x0f\x1e\xfa", 4) == 0 ? 4 : 0; /* endbr64 */
	int32_t distance;

	at += at < room && code[at] == 0xf2; /* bnd */
	if (room < at + 6 || code[at] != 0xff || code[at + 1] != 0x25)
		return false;
	memcpy(&distance, code + at + 2, sizeof(distance));
	*slot = address + at + 6 + (uint64_t)(int64_t)distance;
	return true;
}
#else
static bool is_slot(uint64_t kind)
{
	return false;
}

static bool jumps_through(const unsigned char *code, size_t room, uint64_t address, uint64_t *slot)
{
	return false;
}
#endif

static int add_slot(struct plt *p, const ElfW(Rela) * from)
{
	uint64_t symbol = ELF64_R_SYM(from->r_info);

	if (!is_slot(ELF64_R_TYPE(from->r_info)) || symbol == 0 || symbol >= p->exported->count ||
	    p->count == SLOTS_MAX)
		return 0;
	if (pf_vec_reserve((void **)&p->slots, &p->capacity, sizeof(*p->slots), p->count + 1) < 0)
		return -ENOMEM;
	p->slots[p->count++] = (struct slot){from->r_offset, (uint32_t)symbol};
	return 0;
}

static int read_slots(struct plt *p, const char *section)
{
	struct pf_elf_section s;
	ElfW(Rela) piece[PIECE / sizeof(ElfW(Rela))];

	if (pf_elf_section(p->elf, section, &s) < 0)
		return 0;
	for (uint64_t at = 0; at + sizeof(*piece) <= s.size; at += sizeof(piece)) {
		uint64_t want = s.size - at < sizeof(piece) ? s.size - at : sizeof(piece);
		ssize_t got = pf_elf_read(p->elf, piece, want, s.offset + at);

		for (ssize_t i = 0; i < got / (ssize_t)sizeof(*piece); i++)
			if (add_slot(p, &piece[i]) < 0)
				return -ENOMEM;
	}
	return 0;
}

static int by_address(const void *a, const void *b)
{
	const struct slot *x = a, *y = b;

	return x->address < y->address ? -1 : x->address > y->address;
}

static int tell(struct plt *p, uint64_t address, uint64_t slot, uint64_t room)
{
	struct slot key = {.address = slot};
	const struct slot *found =
	    p->count ? bsearch(&key, p->slots, p->count, sizeof(key), by_address) : NULL;
	ElfW(Sym) symbol;

	if (!found || pf_elf_read(p->elf, &symbol, sizeof(symbol),
			  p->exported->offset + found->symbol * sizeof(symbol)) != sizeof(symbol))
		return 0;
	return p->add(p->to, &(struct pf_plt_stub){
				 .address = address,
				 .size = room < STUB ? (uint32_t)room : STUB,
				 .name = symbol.st_name,
			     });
}

static int read_stubs(struct plt *p, const char *section)
{
	PF_SCOPED(pf_buf) code = PF_BUF_INIT;
	struct pf_elf_section s;
	const unsigned char *at;
	uint64_t slot, next;
	char *room;
	int rc = 0;

	if (pf_elf_section(p->elf, section, &s) < 0 || s.size == 0 || s.size > CODE_MAX)
		return 0;
	room = pf_buf_room(&code, s.size);
	if (!room)
		return -ENOMEM;
	if (pf_elf_read(p->elf, room, s.size, s.offset) != (ssize_t)s.size)
		return 0;
	at = (const unsigned char *)room;
	for (uint64_t i = 0; rc == 0 && i < s.size; i += STEP) {
		uint64_t left = s.size - i;

		if (!jumps_through(at + i, left, s.address + i, &slot))
			continue;
		/* Stubs of 8 bytes stand close. */
		if (left > STEP &&
		    jumps_through(at + i + STEP, left - STEP, s.address + i + STEP, &next))
			left = STEP;
		rc = tell(p, s.address + i, slot, left);
	}
	return rc;
}

int pf_plt_each(const struct pf_elf *elf, const struct pf_elf_table *exported,
    int (*add)(void *to, const struct pf_plt_stub *stub), void *to)
{
	struct plt p = {.elf = elf, .exported = exported, .add = add, .to = to};
	int rc = read_slots(&p, ".rela.plt");

	if (rc == 0 && pf_elf_has_section(elf, ".plt.got"))
		rc = read_slots(&p, ".rela.dyn");
	if (rc == 0 && p.count) {
		static const char *const sections[] = {".plt", ".plt.sec", ".plt.got"};

		pf_sort(p.slots, p.count, sizeof(*p.slots), by_address);
		for (size_t i = 0; rc == 0 && i < PF_COUNT(sections); i++)
			rc = read_stubs(&p, sections[i]);
	}
	pf_vec_free(p.slots, p.capacity, sizeof(*p.slots));
	return rc;
}
