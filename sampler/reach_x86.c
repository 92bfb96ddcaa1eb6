/* Branches, calls and jumps of x86-64, each place once:
 *
 *     e8 call, e9 eb jmp, 7x 0f 8x jcc      to a place of this module, or to a stub that jumps through a slot
 *     ff 15 call *slot, ff 25 jmp *slot     a relocation says whose address is in the slot
 *     any other ff /2 /4                    by a pointer: not known
 */
#if defined(__x86_64__)
#include "base/mark.h"
#include "sampler/own_memory.h"
#include "sampler/reach.h"
#include "sampler/x86_length.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { PLACES_MAX = 256, STEPS_MAX = 4096, LONGEST = 16, WINDOW = 256, PREFIXES_MAX = 4 };

/* A copy by the kernel: any page may be closed to us, or go. */
struct window {
	uintptr_t at;
	size_t size;
	uint8_t bytes[WINDOW];
};

struct search {
	const struct pf_module *module;
	const struct pf_reach_throw *throws;
	bool (*is_it)(const char *name, const void *arg);
	const void *arg;
	bool found, unknown;
	int steps;
	int places; /* known, and how many of them have been looked at */
	int looked;
	uintptr_t place[PLACES_MAX];
	struct window here, stub;
};

/* LONGEST bytes of code, or NULL. They stay until the window is asked again. */
static const uint8_t *code_at(const struct search *s, struct window *w, uintptr_t at)
{
	if (at < s->module->low || at >= s->module->high)
		return NULL;
	if (at >= w->at && at - w->at + LONGEST <= w->size)
		return w->bytes + (at - w->at);
	w->at = at;
	w->size = WINDOW;
	if (pf_own_memory_read(w->bytes, (const void *)at, WINDOW) != WINDOW)
		w->size = LONGEST; /* near the end */
	if (w->size == LONGEST &&
	    pf_own_memory_read(w->bytes, (const void *)at, LONGEST) != LONGEST)
		w->size = 0;
	return w->size ? w->bytes : NULL;
}

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
	for (int i = 0; i < s->places; i++)
		if (s->place[i] == at)
			return;
	if (s->places == PLACES_MAX)
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

static uintptr_t number(const uint8_t *at)
{
	int32_t value;

	memcpy(&value, at, sizeof(value));
	return (uintptr_t)(intptr_t)value;
}

/* Behind what does not change where it goes: the prefixes bnd, notrack, rep and addr32, and REX. */
static const uint8_t *opcode_of(const uint8_t *code)
{
	for (int i = 0;
	     i < PREFIXES_MAX && (*code == 0xf2 || *code == 0xf3 || *code == 0x3e || *code == 0x67);
	     i++)
		code++;
	return (*code & 0xf0) == 0x40 ? code + 1 : code;
}

/* jmp *slot or call *slot, by the distance to the instruction's end. */
static bool names_slot(const uint8_t *opcode)
{
	return opcode[0] == 0xff && (opcode[1] == 0x25 || opcode[1] == 0x15);
}

/* The slot through which a stub jumps; 0: it is no stub. */
static uintptr_t slot_of_stub(struct search *s, uintptr_t at)
{
	static const uint8_t endbr[] = {0xf3, 0x0f, 0x1e, 0xfa};
	const uint8_t *code = code_at(s, &s->stub, at), *opcode;

	if (!code)
		return 0;
	opcode = opcode_of(memcmp(code, endbr, sizeof(endbr)) == 0 ? code + sizeof(endbr) : code);
	if (!names_slot(opcode) || opcode[1] != 0x25)
		return 0;
	return at + (uintptr_t)(opcode - code) + 6 + number(opcode + 2);
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
	uintptr_t slot;

	if (target == s->throws->allocate || target == s->throws->raise)
		return target != s->throws->raise;
	slot = slot_of_stub(s, target);
	if (slot)
		return go_through(s, slot);
	add_place(s, target);
	return true;
}

/* Is it lfence, by which compilers fence in an indirect call that they write as a return? */
static bool is_fence(const uint8_t *code)
{
	return code[0] == 0x0f && code[1] == 0xae && code[2] == 0xe8;
}

/* One instruction, and where the next one is. False: that is not reached from here. */
static bool look_at(struct search *s, const uint8_t *code, uintptr_t next)
{
	const uint8_t *opcode = opcode_of(code);

	if (opcode[0] == 0xe8) /* call */
		return go_to(s, next + number(opcode + 1));
	if (opcode[0] == 0xe9 || opcode[0] == 0xeb) { /* jmp */
		go_to(s,
		    next + (opcode[0] == 0xe9 ? number(opcode + 1) : (uintptr_t)(int8_t)opcode[1]));
		return false;
	}
	if ((opcode[0] & 0xf0) == 0x70 || (opcode[0] & 0xfc) == 0xe0) /* jcc, loop */
		add_place(s, next + (uintptr_t)(int8_t)opcode[1]);
	/* jcc; a function's last call may be one */
	if (opcode[0] == 0x0f && (opcode[1] & 0xf0) == 0x80)
		go_to(s, next + number(opcode + 2));
	if (opcode[0] == 0xff && (opcode[1] & 0x38) >= 0x10 && (opcode[1] & 0x38) < 0x30) {
		bool returns = (opcode[1] & 0x38) < 0x20;

		if (names_slot(opcode))
			return go_through(s, next + number(opcode + 2)) && returns;
		s->unknown = true;
		return returns;
	}
	/* int3 may be a debugger's, in place of what was there */
	if (opcode[0] == 0xcc || is_fence(opcode))
		s->unknown = true;
	/* ret, hlt, ud2 */
	return opcode[0] != 0xc3 && opcode[0] != 0xc2 && opcode[0] != 0xcc && opcode[0] != 0xf4 &&
	       !(opcode[0] == 0x0f && opcode[1] == 0x0b);
}

static void look_from(struct search *s, uintptr_t at)
{
	while (!s->found) {
		const uint8_t *code = code_at(s, &s->here, at);
		int length = code ? pf_x86_length(code) : 0;

		if (length == 0 || ++s->steps > STEPS_MAX) {
			s->unknown = true;
			return;
		}
		at += (uintptr_t)length;
		if (!look_at(s, code, at))
			return;
	}
}

enum pf_reach pf_reach(const struct pf_module *m, const void *function,
    const struct pf_reach_throw *throws, bool (*is_it)(const char *name, const void *arg),
    const void *arg)
{
	struct search s = {.module = m, .throws = throws, .is_it = is_it, .arg = arg};

	add_place(&s, (uintptr_t)function);
	while (!s.found && s.looked < s.places)
		look_from(&s, s.place[s.looked++]);
	if (s.found)
		return PF_REACH_YES;
	return s.unknown ? PF_REACH_UNKNOWN : PF_REACH_NO;
}
#endif
