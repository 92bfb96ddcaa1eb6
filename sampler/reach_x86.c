/* Branches, calls and jumps of x86-64, each place once:
 *
 *     e8 call, e9 eb jmp, 7x 0f 8x jcc      to a place of this module, or to a stub that jumps through a slot
 *     ff 15 call *slot, ff 25 jmp *slot     a relocation says whose address is in the slot
 *     any other ff /2 /4                    by a pointer: not known
 */
#if defined(__x86_64__)
#include "base/mark.h"
#include "sampler/reach.h"
#include "sampler/x86_length.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { PLACES_MAX = 256, STEPS_MAX = 4096, LONGEST = 16, PAGE = 4096 };

struct search {
	const struct pf_module *module;
	uintptr_t low, high; /* the segment with the code, whole pages */
	const uintptr_t *closed;
	bool (*is_it)(const char *name, const void *arg);
	const void *arg;
	bool found, unknown;
	int steps;
	int places; /* known, and how many of them have been looked at */
	int looked;
	uintptr_t place[PLACES_MAX];
};

/* Where the code of a called function ends without a return: what stands behind the call is another's. */
static bool never_returns(const char *name)
{
	static const char *const names[] = {"abort", "exit", "_exit", "quick_exit", "__assert_fail",
	    "__stack_chk_fail", "__chk_fail", "_Unwind_Resume", "__cxa_throw", "__cxa_rethrow",
	    "__cxa_bad_cast", "__cxa_throw_bad_array_new_length", "_ZSt9terminatev",
	    "__cxa_call_unexpected", "longjmp", "siglongjmp", "pthread_exit"};

	for (size_t i = 0; i < PF_COUNT(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return strncmp(name, "_ZSt", 4) == 0 &&
	       strstr(name, "__throw_"); /* std::__throw_bad_alloc */
}

static void add_place(struct search *s, uintptr_t at)
{
	for (int i = 0; i < PF_REACH_CLOSED; i++)
		if (s->closed[i] == at)
			return;
	for (int i = 0; i < s->places; i++)
		if (s->place[i] == at)
			return;
	if (s->places == PLACES_MAX || at < s->low || at >= s->high)
		s->unknown = true;
	else
		s->place[s->places++] = at;
}

/* Whose address the loader puts there: the name if it is another module's, else the place in this one;
 * neither: a pointer that the program sets. */
static const char *owner(const struct search *s, uintptr_t slot, uintptr_t *own)
{
	const struct pf_module *m = s->module;

	*own = 0;
	for (int table = 0; table < 2; table++)
		for (size_t i = 0; i < m->relocation_count[table]; i++) {
			const ElfW(Rela) *r = &m->relocations[table][i];
			const ElfW(Sym) * symbol;

			if (m->bias + r->r_offset != slot)
				continue;
			if (pf_module_slot_kind(r) != PF_SLOT_PLT &&
			    pf_module_slot_kind(r) != PF_SLOT_GOT)
				return NULL;
			symbol = &m->symbols[ELF64_R_SYM(r->r_info)];
			if (symbol->st_shndx == SHN_UNDEF)
				return m->strings + symbol->st_name;
			*own = m->bias + symbol->st_value;
			return NULL;
		}
	return NULL;
}

static int32_t number(uintptr_t at)
{
	int32_t value;

	memcpy(&value, (const void *)at, sizeof(value));
	return value;
}

static const uint8_t *bytes(uintptr_t at)
{
	return (const uint8_t *)at;
}

/* Behind what does not change where it goes: the prefixes bnd and notrack, and REX. */
static uintptr_t opcode_of(uintptr_t at)
{
	while (*bytes(at) == 0xf2 || *bytes(at) == 0x3e)
		at++;
	return (*bytes(at) & 0xf0) == 0x40 ? at + 1 : at;
}

/* jmp *slot or call *slot, by the distance to the instruction's end. */
static bool names_slot(uintptr_t opcode)
{
	return bytes(opcode)[0] == 0xff && (bytes(opcode)[1] == 0x25 || bytes(opcode)[1] == 0x15);
}

/* The slot through which a stub jumps; 0: it is no stub. */
static uintptr_t slot_of_stub(const struct search *s, uintptr_t at)
{
	static const uint8_t endbr[] = {0xf3, 0x0f, 0x1e, 0xfa};

	if (at < s->low || at >= s->high || s->high - at < 2 * LONGEST)
		return 0;
	if (memcmp(bytes(at), endbr, sizeof(endbr)) == 0)
		at += sizeof(endbr);
	at = opcode_of(at);
	if (!names_slot(at) || bytes(at)[1] != 0x25)
		return 0;
	return at + 6 + (uintptr_t)(intptr_t)number(at + 2);
}

/* What is called or jumped to through a slot. True: it may return. */
static bool go_through(struct search *s, uintptr_t slot)
{
	uintptr_t own;
	const char *name = owner(s, slot, &own);

	if (own)
		add_place(s, own);
	else if (!name)
		s->unknown = true;
	else if (s->is_it(name, s->arg))
		s->found = true;
	return !name || !never_returns(name);
}

/* The same for a place. */
static bool go_to(struct search *s, uintptr_t target)
{
	uintptr_t slot = slot_of_stub(s, target);

	if (slot)
		return go_through(s, slot);
	add_place(s, target);
	return true;
}

/* One instruction. False: what follows is not reached from here. */
static bool look_at(struct search *s, uintptr_t at, uintptr_t next)
{
	uintptr_t opcode = opcode_of(at);
	const uint8_t *code = bytes(opcode);

	if (code[0] == 0xe8) /* call */
		return go_to(s, next + (uintptr_t)(intptr_t)number(opcode + 1));
	if (code[0] == 0xe9 || code[0] == 0xeb) { /* jmp */
		go_to(s, next + (uintptr_t)(intptr_t)(code[0] == 0xe9 ? number(opcode + 1)
								      : (int8_t)code[1]));
		return false;
	}
	if ((code[0] & 0xf0) == 0x70 || (code[0] & 0xfc) == 0xe0) /* jcc, loop */
		add_place(s, next + (uintptr_t)(intptr_t)(int8_t)code[1]);
	if (code[0] == 0x0f &&
	    (code[1] & 0xf0) == 0x80) /* jcc; a function's last call may be one */
		go_to(s, next + (uintptr_t)(intptr_t)number(opcode + 2));
	if (code[0] == 0xff && (code[1] & 0x38) >= 0x10 && (code[1] & 0x38) < 0x30) {
		bool returns = (code[1] & 0x38) < 0x20;

		if (names_slot(opcode))
			return go_through(s, next + (uintptr_t)(intptr_t)number(opcode + 2)) &&
			       returns;
		s->unknown = true;
		return returns;
	}
	/* ret, int3, hlt, ud2 */
	return code[0] != 0xc3 && code[0] != 0xc2 && code[0] != 0xcc && code[0] != 0xf4 &&
	       !(code[0] == 0x0f && code[1] == 0x0b);
}

static void look_from(struct search *s, uintptr_t at)
{
	while (!s->found) {
		int length = at < s->high - LONGEST ? pf_x86_length(bytes(at)) : 0;

		if (length == 0 || ++s->steps > STEPS_MAX) {
			s->unknown = true;
			return;
		}
		if (!look_at(s, at, at + (uintptr_t)length))
			return;
		at += (uintptr_t)length;
	}
}

enum pf_reach pf_reach(const struct pf_module *m, const void *function,
    const uintptr_t closed[PF_REACH_CLOSED], bool (*is_it)(const char *name, const void *arg),
    const void *arg)
{
	struct search s = {.module = m, .closed = closed, .is_it = is_it, .arg = arg};

	for (size_t i = 0; i < m->segment_count; i++) {
		const ElfW(Phdr) *segment = &m->segments[i];
		uintptr_t low = m->bias + segment->p_vaddr, high = low + segment->p_memsz;

		if (segment->p_type == PT_LOAD && (segment->p_flags & PF_X) &&
		    (segment->p_flags & PF_R) && (uintptr_t)function >= low &&
		    (uintptr_t)function < high) {
			s.low = low;
			s.high = (high + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
		}
	}
	add_place(&s, (uintptr_t)function);
	while (!s.found && s.looked < s.places)
		look_from(&s, s.place[s.looked++]);
	if (s.found)
		return PF_REACH_YES;
	return s.unknown ? PF_REACH_UNKNOWN : PF_REACH_NO;
}
#endif
